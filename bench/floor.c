/* The floor: what an invocation costs in system calls alone. A client that polls and answers like a runtime with N
 * slots on one thread, finds the request id and the end of each event, and decodes nothing.
 *
 *   floor serial|pipelined       with AWS_LAMBDA_RUNTIME_API and AWS_LAMBDA_MAX_CONCURRENCY
 *
 * One connection for each slot. serial: POST, wait for the 202, GET /next. pipelined: POST and GET in one write. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRATCH = 1 << 18, KEPT = 4096, ID = 36 };

struct slot {
    int fd;
    enum { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST } state;
    bool event; /* the reply that is being read is an event, not a 202 */
    size_t left, kept_len;
    char id[ID], kept[KEPT]; /* kept: a head or chunk size that came in part */
};

static char get[256], post[512], scratch[SCRATCH];
static size_t get_len, post_len, post_id, post_get_len;
static bool pipelined;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void say(struct slot *s, const char *data, size_t size) {
    if (send(s->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) fail("send");
}

static void whole(struct slot *s) {
    s->state = HEAD;
    if (s->event) {
        memcpy(post + post_id, s->id, ID);
        say(s, post, pipelined ? post_get_len : post_len);
    } else if (!pipelined) {
        say(s, get, get_len);
    }
}

static size_t consume(struct slot *s, char *data, size_t size) {
    static const char ID_FIELD[] = "Lambda-Runtime-Aws-Request-Id: ", LENGTH[] = "Content-Length: ";
    size_t at = 0;
    while (at < size) {
        char *from = data + at, *end, *value;
        size_t left = size - at;
        if (s->state == HEAD) {
            if (!(end = memmem(from, left, "\r\n\r\n", 4))) break;
            size_t head = (size_t)(end - from) + 4;
            at += head;
            s->event = memcmp(from + 9, "200", 3) == 0;
            if (s->event && (value = memmem(from, head, ID_FIELD, sizeof ID_FIELD - 1)))
                memcpy(s->id, value + sizeof ID_FIELD - 1, ID);
            value = memmem(from, head, LENGTH, sizeof LENGTH - 1);
            s->state = value ? BODY : CHUNK_SIZE;
            s->left = value ? strtoul(value + sizeof LENGTH - 1, NULL, 10) : 0;
        } else if (s->state == BODY || s->state == CHUNK_DATA) {
            size_t take = left < s->left ? left : s->left;
            at += take;
            s->left -= take;
            if (s->left) break;
            if (s->state == BODY) whole(s); else s->state = CHUNK_END;
        } else {
            if (!(end = memchr(from, '\n', left))) break;
            at += (size_t)(end - from) + 1;
            if (s->state == CHUNK_SIZE) {
                s->left = strtoul(from, NULL, 16);
                s->state = s->left ? CHUNK_DATA : LAST;
            } else if (s->state == CHUNK_END) {
                s->state = CHUNK_SIZE;
            } else {
                whole(s);
            }
        }
    }
    return at;
}

int main(int argc, char **argv) {
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API"), *slots = getenv("AWS_LAMBDA_MAX_CONCURRENCY");
    const char *colon = api ? strchr(api, ':') : NULL;
    if (argc != 2 || !colon || !slots) return fprintf(stderr, "floor serial|pipelined, under a Runtime API\n"), 2;
    pipelined = strcmp(argv[1], "pipelined") == 0;
    char host[64] = {0};
    memcpy(host, api, (size_t)(colon - api) < sizeof host ? (size_t)(colon - api) : sizeof host - 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    inet_pton(AF_INET, host, &address.sin_addr);
    get_len = (size_t)sprintf(get, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %.40s\r\n\r\n", api);
    post_len = (size_t)sprintf(post,
                               "POST /2018-06-01/runtime/invocation/%036d/response HTTP/1.1\r\nHost: %.40s\r\n"
                               "Content-Type: application/json\r\nContent-Length: 30\r\n\r\n"
                               "{\"statusCode\":200,\"body\":\"ok\"}",
                               0, api);
    post_id = strlen("POST /2018-06-01/runtime/invocation/");
    memcpy(post + post_len, get, get_len);
    post_get_len = post_len + get_len;

    int poller = epoll_create1(0), on = 1;
    for (int i = atoi(slots); i > 0; i--) {
        struct slot *s = calloc(1, sizeof *s);
        s->fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
        if (connect(s->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
        if (epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &e)) fail("epoll_ctl");
        say(s, get, get_len);
    }
    for (;;) {
        struct epoll_event ready[256];
        int count = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            struct slot *s = ready[i].data.ptr;
            memcpy(scratch, s->kept, s->kept_len);
            ssize_t got = recv(s->fd, scratch + s->kept_len, SCRATCH - 1 - s->kept_len, 0);
            if (got <= 0) return 0; /* the end of the Runtime API is ours */
            size_t size = s->kept_len + (size_t)got;
            scratch[size] = 0;
            size_t used = consume(s, scratch, size);
            s->kept_len = size - used;
            if (s->kept_len > KEPT) return fprintf(stderr, "a head above %d bytes\n", KEPT), 1;
            memcpy(s->kept, scratch + used, s->kept_len);
        }
    }
}
