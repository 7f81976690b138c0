/* The floor of the fan-out: a WebSocket server in C that does nothing but write what it is fed to everyone.
 *
 * A connection whose first line is "feed" brings chunks, each after its length in 4 bytes; each becomes one binary frame
 * and one send() a follower. Followers are the viewers of the benchmark: they are answered as far as these look (so
 * there is no Sec-WebSocket-Accept), and one that does not read for 5 s is given up. Says "listening PORT".
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536
#define CHUNK (1 << 20)

enum { NONE, NEW, ASKING, FOLLOWING, FEEDING };

static char states[MOST];
static int followers[MOST], count;
static unsigned char frame[CHUNK + 16];

static int send_all(int fd, const void *data, size_t size) {
    const char *at = data;
    while (size) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0) return 0;
        at += sent;
        size -= sent;
    }
    return 1;
}

static void give_up(int fd) {
    for (int at = 0; at < count; at++)
        if (followers[at] == fd) followers[at--] = followers[--count];
    states[fd] = NONE;
    close(fd);
}

static void say(int fd, const char *text) {
    char out[128] = {(char)0x81, (char)strlen(text)};
    memcpy(out + 2, text, strlen(text));
    send_all(fd, out, 2 + strlen(text));
}

/* One chunk from the feed to all. */
static void pass_on(int feed) {
    unsigned char size_be[4], *body = frame + 10, *begin;
    if (recv(feed, size_be, 4, MSG_WAITALL) < 4) {
        give_up(feed);
        return;
    }
    size_t size = (size_t)size_be[0] << 24 | size_be[1] << 16 | size_be[2] << 8 | size_be[3];
    if (size > CHUNK || recv(feed, body, size, MSG_WAITALL) < (ssize_t)size) {
        give_up(feed);
        return;
    }
    begin = body - (size < 126 ? 2 : size < 65536 ? 4 : 10);
    begin[0] = 0x82;
    if (size < 126) {
        begin[1] = size;
    } else if (size < 65536) {
        begin[1] = 126;
        begin[2] = size >> 8;
        begin[3] = size;
    } else {
        begin[1] = 127;
        for (int at = 0; at < 8; at++) begin[2 + at] = (uint64_t)size >> (56 - 8 * at);
    }
    for (int at = 0; at < count; at++)
        if (!send_all(followers[at], begin, body + size - begin)) give_up(followers[at--]);
}

/* What a viewer says on its way: the upgrade, "40", its subscription; then nothing that matters. */
static void hear(int fd) {
    char heard[4096];
    ssize_t size = recv(fd, heard, sizeof heard - 1, 0);
    if (size <= 0) {
        give_up(fd);
        return;
    }
    heard[size] = 0;
    if (states[fd] == NEW) {
        static const char welcome[] =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        if (!strncmp(heard, "feed", 4)) {
            states[fd] = FEEDING;
            return;
        }
        states[fd] = ASKING;
        send_all(fd, welcome, sizeof welcome - 1);
        say(fd, "0{\"sid\":\"x\"}");
    } else if (states[fd] == ASKING) {
        const char *text = heard + ((heard[1] & 127) < 126 ? 6 : 8); /* the mask is of zeros */
        if (!strncmp(text, "40", 2)) {
            say(fd, "40{\"sid\":\"x\"}");
        } else if (!strncmp(text, "42", 2)) {
            states[fd] = FOLLOWING;
            followers[count++] = fd;
            say(fd, "430[{\"ok\":true}]");
        }
    }
}

int main(void) {
    int listening = socket(AF_INET, SOCK_STREAM, 0), events = epoll_create1(0), on = 1;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 5};
    socklen_t size = sizeof where;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening}, found[256];
    if (bind(listening, (void *)&where, size) || listen(listening, 1024)) return 1;
    getsockname(listening, (void *)&where, &size);
    epoll_ctl(events, EPOLL_CTL_ADD, listening, &event);
    printf("listening %d\n", ntohs(where.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(events, found, 256, -1);
        for (int at = 0; at < ready; at++) {
            int fd = found[at].data.fd;
            if (fd != listening) {
                if (states[fd] == FEEDING) pass_on(fd);
                else hear(fd);
                continue;
            }
            fd = accept(listening, NULL, NULL);
            if (fd < 0 || fd >= MOST) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
            states[fd] = NEW;
            event.data.fd = fd;
            epoll_ctl(events, EPOLL_CTL_ADD, fd, &event);
        }
    }
}
