/* One connection of bench/server.c: requests in, cut wherever the network cut them; replies out, in part when the peer
 * reads slowly. What a request means is on_request's business. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SCRATCH = 1 << 18, OUT = 4096 };
enum state { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };
enum kind { POLL, RESPONSE, ERROR_REPORT, INIT_ERROR, OTHER };

struct conn {
    int fd;
    enum state state;
    enum kind kind;
    int64_t seq;
    uint64_t body_left, body_bytes;
    uint8_t *left; /* input not yet consumed */
    size_t left_len;
    uint8_t out[OUT];
    size_t out_len, out_off, body_len, body_off; /* body: the event, behind out */
    bool parked, watching_out, closed;
    struct conn *before, *after; /* neighbours in the queue of parked polls */
};

static int poller;
static uint8_t *event_body; /* as it goes over the wire, chunk framing included */
static uint8_t scratch[SCRATCH];

static void on_request(struct conn *c); /* a whole request has come */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(struct conn *c, bool out) {
    if (c->watching_out == out) return;
    c->watching_out = out;
    struct epoll_event e = {.events = out ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e)) die("epoll_ctl");
}

static bool flush(struct conn *c) { /* true when all is sent */
    while (c->out_off < c->out_len || c->body_off < c->body_len) {
        struct iovec parts[2] = {{c->out + c->out_off, c->out_len - c->out_off},
                                 {event_body + c->body_off, c->body_len - c->body_off}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = c->body_len ? 2 : 1};
        ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) c->closed = true;
            watch(c, !c->closed);
            return false;
        }
        size_t head = c->out_len - c->out_off;
        if ((size_t)sent < head) {
            c->out_off += (size_t)sent;
        } else {
            c->out_off = c->out_len;
            c->body_off += (size_t)sent - head;
        }
    }
    c->out_len = c->out_off = c->body_len = c->body_off = 0;
    watch(c, false);
    return true;
}

/* The value of a field of a request's head, or NULL; names are matched without regard to case. */
static const char *field(const char *head, size_t size, const char *name) {
    size_t length = strlen(name);
    const char *end = head + size;
    for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line)));) {
        line++;
        if ((size_t)(end - line) > length && line[length] == ':' && strncasecmp(line, name, length) == 0) {
            line += length + 1;
            while (*line == ' ') line++;
            return line;
        }
    }
    return NULL;
}

static void on_head(struct conn *c, const char *head, size_t size) {
    static const char INVOCATION[] = " /2018-06-01/runtime/invocation/";
    const char *path = memchr(head, ' ', size), *value;
    c->kind = OTHER;
    c->body_bytes = c->body_left = 0;
    if (path && strncmp(path, INVOCATION, sizeof INVOCATION - 1) == 0) {
        path += sizeof INVOCATION - 1;
        if (strncmp(path, "next", 4) == 0) {
            c->kind = POLL;
        } else {
            char digits[9] = {0}; /* an id begins with its number */
            memcpy(digits, path, 8);
            c->seq = (int64_t)strtoul(digits, NULL, 16);
            c->kind = strncmp(path + 36, "/error", 6) == 0 ? ERROR_REPORT : RESPONSE;
        }
    } else if (path && strncmp(path, " /2018-06-01/runtime/init/error", 31) == 0) {
        c->kind = INIT_ERROR;
    }
    if (head[0] == 'G') {
        on_request(c);
        return;
    }
    if ((value = field(head, size, "Expect")) && strncmp(value, "100", 3) == 0)
        if (send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) < 0) c->closed = true;
    if ((value = field(head, size, "Transfer-Encoding")) && strncasecmp(value, "chunked", 7) == 0) {
        c->state = CHUNK_SIZE;
    } else {
        value = field(head, size, "Content-Length");
        c->body_left = value ? strtoull(value, NULL, 10) : 0;
        c->state = BODY;
        if (!c->body_left) on_request(c);
    }
}

/* Consumes what it can of `data`, which has a zero byte behind it; returns how much. */
static size_t consume(struct conn *c, uint8_t *data, size_t size) {
    size_t at = 0;
    while (at < size && !c->parked && !c->closed && !c->watching_out) {
        uint8_t *from = data + at, *end;
        size_t left = size - at;
        if (c->state == HEAD) {
            if (!(end = memmem(from, left, "\r\n\r\n", 4))) break;
            at += (size_t)(end - from) + 4;
            on_head(c, (char *)from, (size_t)(end - from) + 2);
        } else if (c->state == BODY || c->state == CHUNK_DATA) {
            size_t take = left < c->body_left ? left : (size_t)c->body_left;
            at += take;
            c->body_left -= take;
            c->body_bytes += take;
            if (!c->body_left) {
                if (c->state == BODY) on_request(c); else c->state = CHUNK_END;
            }
        } else {
            if (!(end = memchr(from, '\n', left))) break;
            at += (size_t)(end - from) + 1;
            if (c->state == CHUNK_SIZE) {
                c->body_left = strtoull((char *)from, NULL, 16);
                c->state = c->body_left ? CHUNK_DATA : TRAILER;
            } else if (c->state == CHUNK_END) {
                c->state = CHUNK_SIZE;
            } else if (end - from <= 1) { /* the empty line behind the trailers */
                on_request(c);
            }
        }
    }
    if (c->out_len && !c->watching_out && !c->closed) flush(c);
    return at;
}

static void keep(struct conn *c, const uint8_t *data, size_t size) {
    if (size) {
        uint8_t *copy = malloc(size);
        memcpy(copy, data, size);
        free(c->left);
        c->left = copy;
    }
    c->left_len = size;
}

static void resume(struct conn *c) { /* what had to wait for the reply before it */
    if (!c->left_len || c->parked || c->watching_out || c->closed) return;
    size_t size = c->left_len;
    memcpy(scratch, c->left, size);
    scratch[size] = 0;
    size_t used = consume(c, scratch, size);
    keep(c, scratch + used, size - used);
}

static void on_input(struct conn *c) {
    if (c->left_len) memcpy(scratch, c->left, c->left_len);
    size_t size = c->left_len;
    ssize_t got = recv(c->fd, scratch + size, SCRATCH - 1 - size, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) c->closed = true;
        return;
    }
    size += (size_t)got;
    scratch[size] = 0;
    size_t used = consume(c, scratch, size);
    keep(c, scratch + used, size - used);
}
