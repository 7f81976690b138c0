/* The viewers of the benchmark in C: one process, one epoll loop, no allocation while output comes.
 *
 * It does what tests/bench/load.py does, by the same words on stdin and stdout and with the same answer, for a fraction
 * of the processor time: frames are walked by their lengths, lines are counted by their mark, and stamps are read on
 * some of the connections. Beyond that it can leave some viewers unread once they are subscribed (--stalled).
 *
 * usage: viewers --kind sio|raw --port P --viewers N --expected LINES --limit SECONDS --say TEXT
 *                [--acks TASK] [--sampled N] [--stalled N]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK '@'
#define DIGITS 15          /* of each of a line's two stamps */
#define OPENING 256        /* so much of a text frame is kept: the cursor stands before the text */
#define ACK_BYTES 131072   /* an ack for so much, or after two seconds, as livetask's own clients do: half a window; */
#define ACK_US 2000000     /* each for some of it, from a half to all */
#define AT_ONCE 64
#define CURSOR 80

typedef uint64_t u64;
enum { UPGRADING, WALKING, BARE };

typedef struct {
    int fd, state, kind, head_size, opening_size, digits;
    unsigned char head[14];
    char opening[OPENING + 1], cursor[CURSOR], attached[CURSOR];
    int live, ready, sampled, stalled, upgrade_ends;
    u64 length, left, lines, unacked, unacked_us, stamp, printed;
    double patience;
} Viewer;

typedef struct { uint32_t *at; size_t size, room; } Times;

static Viewer *viewers;
static int count_all, count_ready, count_complete, count_reading, lost, events;
static u64 expected, lines, frames, bytes, first_us, last_us, asked_us;
static double asked_cpu;
static Times since_print, since_append;
static const char *say_text = "", *acks = "";
static int port, is_raw;
static unsigned char buffer[1 << 18];

static u64 now_us(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (u64)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void fail(const char *what) {
    fprintf(stderr, "viewers: %s\n", what);
    exit(1);
}

static void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) return; /* whoever has gone is counted when it is read */
        data += sent;
        size -= sent;
    }
}

/* One text message, masked with zeros. */
static void say(Viewer *viewer, const char *text) {
    char frame[4096];
    size_t size = strlen(text), at = 0;
    if (size > sizeof frame - 8) fail("a message is too long");
    frame[at++] = (char)0x81;
    if (size < 126) {
        frame[at++] = (char)(0x80 | size);
    } else {
        frame[at++] = (char)(0x80 | 126);
        frame[at++] = (char)(size >> 8);
        frame[at++] = (char)size;
    }
    memset(frame + at, 0, 4);
    memcpy(frame + at + 4, text, size);
    send_all(viewer->fd, frame, at + 4 + size);
}

static void note(Times *times, u64 us) {
    if (times->size == times->room) {
        times->room = times->room ? times->room * 2 : 65536;
        times->at = realloc(times->at, times->room * sizeof *times->at);
        if (!times->at) fail("out of memory");
    }
    times->at[times->size++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static u64 marks(const unsigned char *data, size_t size) {
    u64 found = 0;
    while (size) { /* in parts that a byte can count, which compilers make wide instructions of */
        size_t part = size < 255 ? size : 255;
        unsigned char some = 0;
        for (size_t at = 0; at < part; at++) some += data[at] == MARK;
        found += some;
        data += part;
        size -= part;
    }
    return found;
}

/* The same, and the stamps behind the marks, wherever reads cut them. */
static u64 marks_timed(Viewer *viewer, const unsigned char *data, size_t size, u64 now) {
    u64 found = 0;
    while (size) {
        if (!viewer->digits) {
            const unsigned char *mark = memchr(data, MARK, size);
            if (!mark) break;
            found++;
            size -= mark + 1 - data;
            data = mark + 1;
            viewer->digits = 2 * DIGITS + 1;
            viewer->stamp = 0;
            continue;
        }
        if (viewer->digits == DIGITS + 1) {
            viewer->printed = viewer->stamp;
            viewer->stamp = 0;
        } else {
            viewer->stamp = viewer->stamp * 10 + (*data - '0');
        }
        data++;
        size--;
        if (--viewer->digits == 0) {
            note(&since_print, now - viewer->printed);
            note(&since_append, now - viewer->stamp);
        }
    }
    return found;
}

static void saw(Viewer *viewer, const unsigned char *data, size_t size, u64 now) {
    u64 found = viewer->sampled ? marks_timed(viewer, data, size, now) : marks(data, size);
    if (!found) return;
    u64 before = viewer->lines;
    viewer->lines += found;
    lines += found;
    if (!first_us) first_us = now;
    last_us = now;
    if (before < expected && viewer->lines >= expected) count_complete++;
}

static void is_ready(Viewer *viewer) {
    if (viewer->ready) return;
    viewer->ready = 1;
    count_ready++;
    if (viewer->stalled) {
        epoll_ctl(events, EPOLL_CTL_DEL, viewer->fd, NULL);
        count_reading--;
    }
}

static void asking(void) {
    asked_us = now_us();
    asked_cpu = cpu_s();
}

static void cursor_of(const char *opening, char *into) {
    static const char name[] = "\"cursor\":\"";
    const char *begin = strstr(opening, name), *end = begin ? strchr(begin + sizeof name - 1, '"') : NULL;
    into[0] = 0;
    if (!end) return;
    begin += sizeof name - 1;
    if (end - begin >= CURSOR) return;
    memcpy(into, begin, end - begin);
    into[end - begin] = 0;
}

/* All of a frame has come: answer what a client must, and see which cursor it brings; an attachment has its text's.
 * What is due for an ack is counted by whole frames, as who is given messages counts it. */
static void frame_ended(Viewer *viewer) {
    char *text = viewer->opening;
    int kind = viewer->kind;
    text[viewer->opening_size] = 0;
    viewer->unacked += viewer->length;
    if (kind == 8) fail("the server closed a connection");
    if (kind == 2) {
        frames++;
        if (*viewer->attached) memcpy(viewer->cursor, viewer->attached, CURSOR);
        viewer->attached[0] = 0;
    } else if (!strncmp(text, "42", 2)) {
        frames++;
        cursor_of(text, viewer->cursor);
    } else if (!strncmp(text, "45", 2)) {
        frames++;
        cursor_of(text, viewer->attached);
    } else if (!strncmp(text, "43", 2)) {
        is_ready(viewer);
    } else if (!strcmp(text, "2")) {
        say(viewer, "3");
    } else if (text[0] == '0') {
        say(viewer, "40");
    } else if (!strncmp(text, "40", 2)) {
        char asked[2048];
        snprintf(asked, sizeof asked, "420[\"subscribe\",%s]", say_text);
        viewer->live = 1;
        asking();
        say(viewer, asked);
    }
}

static void walk(Viewer *viewer, const unsigned char *data, size_t size, u64 now) {
    while (size && viewer->state == UPGRADING) { /* to the end of the answer's headers */
        static const char end[] = "\r\n\r\n";
        viewer->upgrade_ends = *data == end[viewer->upgrade_ends] ? viewer->upgrade_ends + 1 : *data == '\r';
        if (viewer->opening_size < 12) viewer->opening[viewer->opening_size++] = *data;
        data++;
        size--;
        if (viewer->upgrade_ends == 4) {
            if (memcmp(viewer->opening, "HTTP/1.1 101", 12)) fail("the upgrade was refused");
            viewer->state = WALKING;
            viewer->opening_size = 0;
        }
    }
    while (size) {
        if (!viewer->left) {
            unsigned char *head = viewer->head;
            head[viewer->head_size++] = *data++;
            size--;
            int want = viewer->head_size < 2 ? 2 : head[1] == 126 ? 4 : head[1] == 127 ? 10 : 2;
            if (viewer->head_size < want) continue;
            u64 length = head[1];
            if (want > 2) length = 0;
            for (int at = 2; at < want; at++) length = length << 8 | head[at];
            viewer->kind = head[0] & 15;
            viewer->head_size = viewer->opening_size = 0;
            viewer->left = viewer->length = length;
            if (!length) frame_ended(viewer);
            continue;
        }
        size_t some = size < viewer->left ? size : viewer->left;
        if (viewer->opening_size < OPENING && viewer->kind == 1) {
            size_t room = OPENING - viewer->opening_size, kept = some < room ? some : room;
            memcpy(viewer->opening + viewer->opening_size, data, kept);
            viewer->opening_size += kept;
        }
        if (viewer->live) saw(viewer, data, some, now);
        data += some;
        size -= some;
        viewer->left -= some;
        if (!viewer->left) frame_ended(viewer);
    }
}

static void acknowledge(Viewer *viewer, u64 now) {
    char text[512];
    if (!*viewer->cursor || !*acks) return;
    if (!viewer->unacked_us) viewer->unacked_us = now;
    if (viewer->unacked < ACK_BYTES * viewer->patience && now - viewer->unacked_us < ACK_US * viewer->patience) return;
    snprintf(text, sizeof text, "42[\"ack\",{\"task_id\":\"%s\",\"cursor\":\"%s\"}]", acks, viewer->cursor);
    say(viewer, text);
    viewer->cursor[0] = 0;
    viewer->unacked = viewer->unacked_us = 0;
    viewer->patience = 0.5 + rand() / 2.0 / RAND_MAX;
}

static void read_from(Viewer *viewer) {
    ssize_t size = recv(viewer->fd, buffer, sizeof buffer, 0);
    if (size <= 0) {
        lost++;
        epoll_ctl(events, EPOLL_CTL_DEL, viewer->fd, NULL);
        return;
    }
    u64 now = now_us();
    bytes += size;
    if (viewer->state == BARE) {
        frames++;
        is_ready(viewer);
        saw(viewer, buffer, size, now);
        return;
    }
    walk(viewer, buffer, size, now);
    acknowledge(viewer, now);
}

/* An ack is not only sent when more comes: the server may have filled the window, and wait for it. */
static void acknowledge_in_time(void) {
    static u64 looked_us;
    u64 now = now_us();
    if (now - looked_us < ACK_US / 20) return;
    looked_us = now;
    for (Viewer *viewer = viewers; viewer < viewers + count_all; viewer++)
        if (!viewer->stalled) acknowledge(viewer, now);
}

/* Read once from all who have something; 0 if stdin had. */
static int look(int timeout_ms) {
    struct epoll_event found[256];
    int count = epoll_wait(events, found, 256, timeout_ms);
    for (int at = 0; at < count; at++) {
        if (!found[at].data.ptr) return 0;
        read_from(found[at].data.ptr);
    }
    acknowledge_in_time();
    return 1;
}

static void join(Viewer *viewer) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = viewer};
    char hello[1024];
    int on = 1;
    inet_pton(AF_INET, "127.0.0.1", &where.sin_addr);
    viewer->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (viewer->fd < 0 || connect(viewer->fd, (void *)&where, sizeof where)) fail("cannot connect");
    setsockopt(viewer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(events, EPOLL_CTL_ADD, viewer->fd, &event);
    viewer->state = is_raw ? BARE : UPGRADING;
    if (is_raw) {
        asking();
        snprintf(hello, sizeof hello, "%s\n", say_text);
    } else {
        snprintf(hello, sizeof hello,
                 "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Key: bGl2ZXRhc2stYmVuY2gtMQ==\r\n"
                 "Sec-WebSocket-Version: 13\r\n\r\n", port);
    }
    send_all(viewer->fd, hello, strlen(hello));
}

static int by_size(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return a < b ? -1 : a > b;
}

/* The median and the 99th of a hundred; nothing of nothing. */
static void print_shares(const char *name, Times *times) {
    printf(",\"%s\":[", name);
    if (times->size) {
        qsort(times->at, times->size, sizeof *times->at, by_size);
        size_t most = times->size * 99 / 100;
        printf("%u,%u", times->at[times->size / 2], times->at[most < times->size ? most : times->size - 1]);
    }
    printf("]");
}

static void answer(double share) {
    u64 least = UINT64_MAX, most = 0;
    for (Viewer *viewer = viewers; viewer < viewers + count_all; viewer++) {
        if (viewer->stalled) continue;
        if (viewer->lines < least) least = viewer->lines;
        if (viewer->lines > most) most = viewer->lines;
    }
    printf("{\"lines\":%lu,\"frames\":%lu,\"bytes\":%lu,\"least\":%lu,\"most\":%lu,\"lost\":%d,\"cpu_share\":%.4f,"
           "\"asked_us\":%lu,\"first_us\":%lu,\"last_us\":%lu",
           lines, frames, bytes, least, most, lost, share, asked_us, first_us, last_us);
    print_shares("since_append_us", &since_append);
    print_shares("since_print_us", &since_print);
    printf("}\n");
}

int main(int argc, char **argv) {
    int sampled = 0, stalled = 0;
    double limit = 60;
    for (int at = 1; at + 1 < argc; at += 2) {
        const char *name = argv[at], *value = argv[at + 1];
        if (!strcmp(name, "--kind")) is_raw = !strcmp(value, "raw");
        else if (!strcmp(name, "--port")) port = atoi(value);
        else if (!strcmp(name, "--viewers")) count_all = atoi(value);
        else if (!strcmp(name, "--expected")) expected = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--limit")) limit = atof(value);
        else if (!strcmp(name, "--say")) say_text = value;
        else if (!strcmp(name, "--acks")) acks = value;
        else if (!strcmp(name, "--sampled")) sampled = atoi(value);
        else if (!strcmp(name, "--stalled")) stalled = atoi(value);
        else fail("an unknown flag");
    }
    viewers = calloc(count_all, sizeof *viewers);
    events = epoll_create1(0);
    count_reading = count_all;
    u64 until = now_us() + (u64)(limit * 1e6);
    int step = sampled && count_all > sampled ? count_all / sampled : 1;
    for (int begun = 0; begun < count_all;) {
        for (int some = 0; some < AT_ONCE && begun < count_all; some++, begun++) {
            viewers[begun].stalled = begun >= count_all - stalled;
            viewers[begun].sampled = sampled && begun % step == 0 && !viewers[begun].stalled;
            join(&viewers[begun]);
        }
        while (count_ready < begun) {
            look(500);
            if (now_us() > until) fail("not all were subscribed in time");
        }
    }
    struct epoll_event told = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(events, EPOLL_CTL_ADD, 0, &told);
    printf("ready\n");
    fflush(stdout);
    while (count_complete < count_reading && now_us() < until && look(50)) {}
    double share = (cpu_s() - asked_cpu) * 1e6 / (now_us() - asked_us + 1);
    if (count_complete >= count_reading) {
        printf("done\n");
        fflush(stdout);
        if (read(0, buffer, sizeof buffer) < 0) return 1;
    }
    answer(share);
    return 0;
}
