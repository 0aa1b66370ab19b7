/* A Runtime API that answers at once, so that what is measured is the runtime and not its server.
 *
 * One thread on one epoll. It never waits for anything the runtime does not owe it, writes each reply with a call of
 * its own (as Go's net/http, the emulator's server, does; --coalesce joins a 202 and the event behind it), and counts
 * what comes back: an id that was not handed out, or twice answered, shows in its report.
 *
 *   server --event FILE [--slots N] [--coalesce]
 *
 * Prints one JSON object per line: {"port":...} at once, {"polls":1,...} and {"polls":N,...} when the first and the
 * N-th poll are parked, then one for each command read from standard input:
 *
 *   run COUNT                                    closed loop: every poll gets an event at once, COUNT in all
 *   open RATE COUNT SEED poisson|fixed queue|refuse FILE
 *                                                open loop: COUNT arrivals, RATE a second; FILE gets the latencies as
 *                                                64-bit nanoseconds from the *scheduled* arrival to the whole answer
 *   quit
 *
 * Times are CLOCK_MONOTONIC nanoseconds. A report is printed when all is answered and nothing has moved for QUIET_MS,
 * so that whoever reads the runtime's CPU time then, finds it at rest. */
#include "connection.h"

#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>

enum { QUIET_MS = 25, CHUNKED_ABOVE = 2048 };

struct invocation {
    uint64_t scheduled;
    bool answered;
};

static int timer;
static struct conn *first_parked, *last_parked;
static size_t parked, slots = 1;
static bool coalesce, seen_one, seen_all;
static size_t event_len;
static char event_head[1024];
static size_t event_head_len, at_id, at_invocation, at_trace, at_deadline;
static struct invocation *calls;
static size_t calls_room;
static uint64_t handed, answered, target, faults, unknown, refused, polls, response_bytes, lagging;
static uint64_t started_ns, last_ns;
static bool running, open_loop, queueing;
static uint64_t *arrivals, *latencies;
static size_t arrivals_count, next_arrival, queue_at, latencies_count;
static char latencies_path[1024];
static const char ACCEPTED[] = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
                               "Date: Sat, 21 Nov 2026 00:00:00 GMT\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";
static const char NOT_FOUND[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

static uint64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void load_event(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *raw = malloc(size + 1);
    if (!raw || fread(raw, 1, size, file) != size) die(path);
    fclose(file);
    char framing[64];
    if (size <= CHUNKED_ABOVE) {
        event_body = raw;
        event_len = size;
        snprintf(framing, sizeof framing, "Content-Length: %zu", size);
    } else { /* the emulator's writer: a first chunk of its 4 KB buffer, then those of io.Copy */
        event_body = malloc(size + 64 + size / 1024);
        for (size_t at = 0, chunk = 4096; at < size; at += chunk, chunk = 32768) {
            if (chunk > size - at) chunk = size - at;
            event_len += (size_t)sprintf((char *)event_body + event_len, "%zx\r\n", chunk);
            memcpy(event_body + event_len, raw + at, chunk);
            event_len += chunk;
            memcpy(event_body + event_len, "\r\n", 2);
            event_len += 2;
        }
        memcpy(event_body + event_len, "0\r\n\r\n", 5);
        event_len += 5;
        free(raw);
        snprintf(framing, sizeof framing, "Transfer-Encoding: chunked");
    }
    event_head_len = (size_t)snprintf(
        event_head, sizeof event_head,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Lambda-Runtime-Aws-Request-Id: @1234567-1f5b-4a6e-9d2c-7b8e9f0a1b2c\r\n"
        "Lambda-Runtime-Deadline-Ms: #123456789012\r\n"
        "Lambda-Runtime-Invocation-Id: @7654321-2c3d-4e5f-8a9b-0c1d2e3f4a5b\r\n"
        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:012345678912:function:test_function\r\n"
        "Lambda-Runtime-Trace-Id: Root=1-@1234567-8f2b4c6d8e0f1a2b3c4d5e6f;Parent=53995c3f42cd8ad8;Sampled=0\r\n"
        "Date: Sat, 21 Nov 2026 00:00:00 GMT\r\n%s\r\n\r\n",
        framing);
    char *at = strchr(event_head, '@');
    at_id = (size_t)(at - event_head);
    at_deadline = (size_t)(strchr(event_head, '#') - event_head);
    at = strchr(at + 1, '@');
    at_invocation = (size_t)(at - event_head);
    at_trace = (size_t)(strchr(at + 1, '@') - event_head);
}

static void put_hex(uint8_t *at, uint32_t value) {
    for (int i = 7; i >= 0; i--, value >>= 4) at[i] = (uint8_t)"0123456789abcdef"[value & 15];
}

static void give_event(struct conn *c, uint64_t scheduled) {
    if (handed >= calls_room) {
        calls_room = calls_room ? calls_room * 2 : 1 << 16;
        calls = realloc(calls, calls_room * sizeof *calls);
        if (!calls) die("realloc");
    }
    calls[handed] = (struct invocation){.scheduled = scheduled};
    uint8_t *head = c->out + c->out_len;
    memcpy(head, event_head, event_head_len);
    put_hex(head + at_id, (uint32_t)handed);
    put_hex(head + at_invocation, (uint32_t)handed);
    put_hex(head + at_trace, (uint32_t)handed);
    uint64_t deadline = now_ns(CLOCK_REALTIME) / 1000000u + 300000u;
    for (int i = 12; i >= 0; i--, deadline /= 10) head[at_deadline + (size_t)i] = (uint8_t)('0' + deadline % 10);
    c->out_len += event_head_len;
    c->body_len = event_len;
    handed++;
}

static void unpark(struct conn *c) {
    if (c->before) c->before->after = c->after; else first_parked = c->after;
    if (c->after) c->after->before = c->before; else last_parked = c->before;
    c->before = c->after = NULL;
    c->parked = false;
    parked--;
}

static void park(struct conn *c) {
    c->parked = true;
    c->before = last_parked;
    if (last_parked) last_parked->after = c; else first_parked = c;
    last_parked = c;
    parked++;
    bool one = !seen_one, all = !seen_all && parked >= slots;
    seen_one = true;
    seen_all |= all;
    if (one) printf("{\"polls\":1,\"ns\":%lu}\n", now_ns(CLOCK_MONOTONIC));
    if (all) printf("{\"polls\":%zu,\"ns\":%lu}\n", slots, now_ns(CLOCK_MONOTONIC));
}

static void on_poll(struct conn *c) {
    polls++;
    if (running && !open_loop && handed < target) {
        give_event(c, 0);
    } else if (running && open_loop && queue_at < next_arrival) { /* someone has been waiting for this */
        give_event(c, arrivals[queue_at++]);
    } else {
        if (c->out_len) flush(c);
        park(c);
    }
}

static void on_answer(struct conn *c) {
    if (c->seq < 0 || (uint64_t)c->seq >= handed || calls[c->seq].answered) {
        unknown++;
    } else {
        calls[c->seq].answered = true;
        answered++;
        faults += c->kind == ERROR_REPORT;
        response_bytes += c->body_bytes;
        if (open_loop) latencies[latencies_count++] = now_ns(CLOCK_MONOTONIC) - calls[c->seq].scheduled;
        if (answered == target) last_ns = now_ns(CLOCK_MONOTONIC);
    }
    memcpy(c->out + c->out_len, ACCEPTED, sizeof ACCEPTED - 1);
    c->out_len += sizeof ACCEPTED - 1;
}

static void on_request(struct conn *c) {
    c->state = HEAD;
    if (c->kind == POLL) {
        on_poll(c);
    } else if (c->kind == OTHER) {
        memcpy(c->out + c->out_len, NOT_FOUND, sizeof NOT_FOUND - 1);
        c->out_len += sizeof NOT_FOUND - 1;
    } else if (c->kind == INIT_ERROR) {
        printf("{\"init_error\":true}\n");
        memcpy(c->out + c->out_len, ACCEPTED, sizeof ACCEPTED - 1);
        c->out_len += sizeof ACCEPTED - 1;
    } else {
        on_answer(c);
    }
    if (c->out_len && (!coalesce || c->body_len || c->out_len > OUT / 4)) flush(c);
}

static void drop(struct conn *c) {
    if (c->parked) unpark(c);
    close(c->fd);
    free(c->left);
    free(c);
}

static void feed(struct conn *c, uint64_t scheduled) {
    unpark(c);
    give_event(c, scheduled);
    flush(c);
    resume(c);
}

static void arm(uint64_t when) {
    struct itimerspec spec = {.it_value = {(time_t)(when / 1000000000u), (long)(when % 1000000000u)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void on_timer(void) {
    uint64_t ignored, now = now_ns(CLOCK_MONOTONIC);
    if (read(timer, &ignored, sizeof ignored) < 0 && errno != EAGAIN) die("timer");
    while (next_arrival < arrivals_count && arrivals[next_arrival] <= now) {
        uint64_t lag = now - arrivals[next_arrival];
        if (lag > lagging) lagging = lag;
        if (first_parked) {
            feed(first_parked, arrivals[next_arrival++]);
            queue_at = next_arrival;
        } else if (queueing) {
            next_arrival++;
        } else {
            queue_at = ++next_arrival;
            refused++;
            target--;
            if (answered == target) last_ns = now;
        }
    }
    if (next_arrival < arrivals_count) arm(arrivals[next_arrival]);
}

static void command(char *line) {
    char shape[16], busy[16];
    double rate;
    unsigned long count, seed;
    if (strncmp(line, "quit", 4) == 0) exit(0);
    faults = unknown = refused = polls = response_bytes = lagging = 0;
    started_ns = now_ns(CLOCK_MONOTONIC);
    if (sscanf(line, "run %lu", &count) == 1) {
        open_loop = false;
        running = true;
        target = answered + count;
        while (first_parked && handed < target) feed(first_parked, 0);
    } else if (sscanf(line, "open %lf %lu %lu %15s %15s %1023s", &rate, &count, &seed, shape, busy,
                      latencies_path) == 6) {
        arrivals = realloc(arrivals, count * sizeof *arrivals);
        latencies = realloc(latencies, count * sizeof *latencies);
        if (!arrivals || !latencies) die("realloc");
        srand48((long)seed);
        double at = (double)started_ns + 1e7;
        for (size_t i = 0; i < count; i++) {
            at += (shape[0] == 'p' ? -log(1.0 - drand48()) : 1.0) * 1e9 / rate;
            arrivals[i] = (uint64_t)at;
        }
        arrivals_count = count;
        next_arrival = queue_at = latencies_count = 0;
        queueing = busy[0] == 'q';
        open_loop = running = true;
        target = answered + count;
        arm(arrivals[0]);
    } else {
        fprintf(stderr, "not a command: %s", line);
        exit(2);
    }
}

static void report(void) {
    running = false;
    if (open_loop) {
        FILE *file = fopen(latencies_path, "wb");
        if (!file || fwrite(latencies, sizeof *latencies, latencies_count, file) != latencies_count)
            die(latencies_path);
        fclose(file);
    }
    printf("{\"ns\":%lu,\"faults\":%lu,\"unknown\":%lu,\"refused\":%lu,\"polls\":%lu,\"parked\":%zu,\"bytes\":%lu,"
           "\"lag_ns\":%lu}\n",
           last_ns - started_ns, faults, unknown, refused, polls, parked, response_bytes, lagging);
}

static bool read_commands(void) { /* false at the end of standard input */
    static char line[2048];
    static size_t length;
    ssize_t got = read(0, line + length, sizeof line - 1 - length);
    if (got <= 0) return false;
    length += (size_t)got;
    line[length] = 0;
    for (char *end; (end = strchr(line, '\n'));) {
        command(line);
        length -= (size_t)(end + 1 - line);
        memmove(line, end + 1, length + 1);
    }
    return true;
}

static void accept_all(int listener) {
    for (int fd, on = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct conn *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = fd;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--event") == 0 && i + 1 < argc) load_event(argv[++i]);
        else if (strcmp(argv[i], "--slots") == 0 && i + 1 < argc) slots = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--coalesce") == 0) coalesce = true;
        else { fprintf(stderr, "not an option: %s\n", argv[i]); return 2; }
    }
    if (!event_len) { fprintf(stderr, "--event FILE is needed\n"); return 2; }
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_TIMERSLACK, 1UL);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN};
    int *fixed[] = {&listener, &timer, &(int){0}};
    for (int i = 0; i < 3; i++) {
        e.data.ptr = fixed[i];
        if (epoll_ctl(poller, EPOLL_CTL_ADD, *fixed[i], &e)) die("epoll_ctl");
    }
    printf("{\"port\":%d}\n", ntohs(address.sin_port));
    for (;;) {
        struct epoll_event ready[256];
        int count = epoll_wait(poller, ready, 256, running && answered == target ? QUIET_MS : -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        if (count == 0 && running && answered == target && (!open_loop || next_arrival == arrivals_count)) report();
        for (int i = 0; i < count; i++) {
            void *what = ready[i].data.ptr;
            if (what == fixed[0]) {
                accept_all(listener);
            } else if (what == fixed[1]) {
                on_timer();
            } else if (what == fixed[2]) {
                if (!read_commands()) return 0; /* whoever started us has gone */
            } else {
                struct conn *c = what;
                if (c->watching_out) {
                    if (flush(c)) resume(c);
                } else {
                    on_input(c);
                }
                if (c->closed) drop(c);
            }
        }
    }
}
