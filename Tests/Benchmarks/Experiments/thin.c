// What a small packet costs between a TUN device and a UDP socket, by the way it is read and written; nothing is sealed. One thread.
//
//   thin forward TUN LOCAL-PORT PEER-ADDRESS PEER-PORT SECONDS WAY    one line of JSON at the end
//   thin feed SOURCE-ADDRESS GATEWAY-ADDRESS GATEWAY-PORT INNER-DESTINATION OCTETS RATE SECONDS    inner packets in UDP to such a forwarder
//
// WAY: epoll | spin:MICROSECONDS | uring | uring-fixed | uring-sqpoll, each with +napi behind it for a device with IFF_NAPI.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Linux 6.7; not in the headers of Debian 12
enum { READ_MULTISHOT = 49 };

enum { BATCH = 64, ROOM = 2048, BUFFERS = 256, ENTRIES = 1024 };
static unsigned char room[BUFFERS * 2][ROOM] __attribute__((aligned(4096)));
static int tun, udp;
static uint64_t up, down, calls;
static double end_at;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address(const char *text, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, text, &a.sin_addr) != 1) die(text);
    return a;
}

// Both directions until nothing is there; false when nothing was.
static int drain(void) {
    static struct mmsghdr headers[BATCH];
    static struct iovec vectors[BATCH];
    int any = 0, filled = 0;
    for (; filled < BATCH; filled++) {
        ssize_t n = read(tun, room[filled], ROOM);
        calls++;
        if (n <= 0) break;
        vectors[filled] = (struct iovec){room[filled], n};
        headers[filled] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[filled], .msg_iovlen = 1}};
    }
    if (filled) {
        int sent = sendmmsg(udp, headers, filled, MSG_DONTWAIT);
        calls++;
        down += sent > 0 ? sent : 0;
        any = 1;
    }
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){room[i], ROOM};
        headers[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    int got = recvmmsg(udp, headers, BATCH, MSG_DONTWAIT, NULL);
    calls++;
    for (int i = 0; i < got; i++) {
        up += write(tun, room[i], headers[i].msg_len) > 0;
        calls++;
        any = 1;
    }
    return any;
}

static void by_epoll(double spin) {
    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[2];
    epoll_ctl(poller, EPOLL_CTL_ADD, tun, &event);
    epoll_ctl(poller, EPOLL_CTL_ADD, udp, &event);
    double last = now();
    while (now() < end_at) {
        if (drain()) {
            if (spin > 0) last = now();
            continue;
        }
        if (spin > 0 && now() - last < spin) continue;
        epoll_wait(poller, events, 2, 100);
        calls++;
        last = now();
    }
}

// io_uring, as far as it is needed here

static struct {
    int fd;
    unsigned *sq_head, *sq_tail, *sq_mask, *sq_flags, *cq_head, *cq_tail, *cq_mask, queued;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
} ring;

static void ring_open(unsigned flags) {
    struct io_uring_params p = {.flags = flags | IORING_SETUP_CQSIZE, .cq_entries = 4 * ENTRIES, .sq_thread_idle = 50};
    ring.fd = syscall(SYS_io_uring_setup, ENTRIES, &p);
    if (ring.fd < 0) die("io_uring_setup");
    size_t size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    size_t other = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    if (other > size) size = other;
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
    ring.sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
    if (base == MAP_FAILED || ring.sqes == MAP_FAILED) die("mmap");
    ring.sq_head = (unsigned *)(base + p.sq_off.head);
    ring.sq_tail = (unsigned *)(base + p.sq_off.tail);
    ring.sq_mask = (unsigned *)(base + p.sq_off.ring_mask);
    ring.sq_flags = (unsigned *)(base + p.sq_off.flags);
    ring.cq_head = (unsigned *)(base + p.cq_off.head);
    ring.cq_tail = (unsigned *)(base + p.cq_off.tail);
    ring.cq_mask = (unsigned *)(base + p.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(base + p.cq_off.cqes);
    unsigned *array = (unsigned *)(base + p.sq_off.array);
    for (unsigned i = 0; i < p.sq_entries; i++) array[i] = i;
    int files[2] = {tun, udp};
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, files, 2) < 0) die("register files");
    struct iovec all = {room, sizeof room};
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &all, 1) < 0) die("register buffers");
}

static void enter(unsigned wait, int polled) {
    unsigned flags = wait ? IORING_ENTER_GETEVENTS : 0, submit = ring.queued;
    if (polled) {
        submit = 0;
        if (__atomic_load_n(ring.sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP) flags |= IORING_ENTER_SQ_WAKEUP;
        ring.queued = 0;
        if (!flags) return;
    }
    struct __kernel_timespec limit = {.tv_nsec = 100000000};
    struct io_uring_getevents_arg arg = {.ts = (uint64_t)&limit};
    if (wait) flags |= IORING_ENTER_EXT_ARG;
    int done = syscall(SYS_io_uring_enter, ring.fd, submit, wait, flags, wait ? &arg : NULL, wait ? sizeof arg : 0);
    calls++;
    if (done > 0 && !polled) ring.queued -= done;
}

static void queue(int opcode, int file, unsigned char *buffer, unsigned length, uint64_t data, int group) {
    unsigned tail = *ring.sq_tail;
    struct io_uring_sqe *e = &ring.sqes[tail & *ring.sq_mask];
    memset(e, 0, sizeof *e);
    e->opcode = opcode;
    e->fd = file;
    e->flags = IOSQE_FIXED_FILE;
    e->addr = (uint64_t)buffer;
    e->len = length;
    e->user_data = data;
    if (opcode == IORING_OP_READ_FIXED || opcode == IORING_OP_WRITE_FIXED) e->off = -1;
    if (group >= 0) {
        e->flags |= IOSQE_BUFFER_SELECT;
        e->buf_group = group;
        if (opcode == IORING_OP_RECV) e->ioprio = IORING_RECV_MULTISHOT;
        else e->off = -1;
    }
    __atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
    ring.queued++;
}

// user_data: what it was, and the buffer
enum { READ_TUN, READ_UDP, SENT };

static struct io_uring_buf_ring *pools[2];

static void give_back(int pool, unsigned id) {
    struct io_uring_buf_ring *r = pools[pool];
    unsigned tail = r->tail;
    r->bufs[tail & (BUFFERS - 1)] = (struct io_uring_buf){.addr = (uint64_t)room[pool * BUFFERS + id], .len = ROOM, .bid = id};
    __atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
}

static void by_uring(int multishot, int polled) {
    ring_open(polled ? IORING_SETUP_SQPOLL : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (multishot) {
        for (int pool = 0; pool < 2; pool++) {
            pools[pool] = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
            struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)pools[pool], .ring_entries = BUFFERS, .bgid = pool};
            if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0) die("register buffer ring");
            for (unsigned i = 0; i < BUFFERS; i++) give_back(pool, i);
        }
        queue(READ_MULTISHOT, 0, NULL, 0, READ_TUN, 0);
        queue(IORING_OP_RECV, 1, NULL, 0, READ_UDP, 1);
    } else {
        // a few reads of each always on the way
        for (unsigned i = 0; i < 8; i++) {
            queue(IORING_OP_READ_FIXED, 0, room[i], ROOM, READ_TUN | i << 8, -1);
            queue(IORING_OP_READ_FIXED, 1, room[BUFFERS + i], ROOM, READ_UDP | i << 8, -1);
        }
    }
    while (now() < end_at) {
        enter(1, polled);
        unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
        for (; head != tail; head++) {
            struct io_uring_cqe *c = &ring.cqes[head & *ring.cq_mask];
            unsigned kind = c->user_data & 3, id = c->user_data >> 8;
            if (kind == SENT) {
                // its buffer may be read into again
                unsigned from = (c->user_data >> 2) & 1;
                if (multishot) give_back(from, id);
                else queue(IORING_OP_READ_FIXED, from, room[from * BUFFERS + id], ROOM, (from ? READ_UDP : READ_TUN) | id << 8, -1);
                continue;
            }
            unsigned from = kind == READ_UDP;
            if (c->res > 0) {
                if (multishot) id = c->flags >> IORING_CQE_BUFFER_SHIFT;
                *(from ? &up : &down) += 1;
                queue(IORING_OP_WRITE_FIXED, !from, room[from * BUFFERS + id], c->res, SENT | from << 2 | (uint64_t)id << 8, -1);
            } else if (!multishot) {
                queue(IORING_OP_READ_FIXED, from, room[from * BUFFERS + id], ROOM, kind | id << 8, -1);
            }
            if (multishot && !(c->flags & IORING_CQE_F_MORE))
                queue(from ? IORING_OP_RECV : READ_MULTISHOT, from, NULL, 0, kind, from);
        }
        __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
    }
}

static int forward(char **a) {
    double seconds = atof(a[4]);
    char way[64];
    snprintf(way, sizeof way, "%s", a[5]);
    char *napi = strstr(way, "+napi");
    if (napi) *napi = 0;
    int uses_ring = !strncmp(way, "uring", 5);
    tun = open("/dev/net/tun", O_RDWR | (uses_ring ? 0 : O_NONBLOCK));
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | (napi ? IFF_NAPI : 0)};
    snprintf(request.ifr_name, IFNAMSIZ, "%s", a[0]);
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) die("TUNSETIFF");
    udp = socket(AF_INET, SOCK_DGRAM | (uses_ring ? 0 : SOCK_NONBLOCK), 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(a[1]))}, peer = address(a[2], atoi(a[3]));
    int size = 4 << 20;
    setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    // a ring before us lets go of its socket some time after its process ended
    for (int tries = 0; bind(udp, (void *)&here, sizeof here) < 0; tries++) {
        if (tries == 100) die("bind");
        usleep(20000);
    }
    if (connect(udp, (void *)&peer, sizeof peer) < 0) die("connect");
    struct rusage before, after;
    double began = now();
    end_at = began + seconds;
    getrusage(RUSAGE_SELF, &before);
    if (!strcmp(way, "epoll")) by_epoll(0);
    else if (!strncmp(way, "spin:", 5)) by_epoll(atof(way + 5) * 1e-6);
    else if (!strcmp(way, "uring")) by_uring(1, 0);
    else if (!strcmp(way, "uring-fixed")) by_uring(0, 0);
    else if (!strcmp(way, "uring-sqpoll")) by_uring(1, 1);
    else return fprintf(stderr, "no such way: %s\n", way), 2;
    getrusage(RUSAGE_SELF, &after);
    double cpu = after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec - before.ru_stime.tv_sec +
                 1e-6 * (after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec - before.ru_stime.tv_usec);
    double packets = up + down ? up + down : 1;
    printf("{\"way\": \"%s\", \"up\": %llu, \"down\": %llu, \"us_per_packet\": %.2f, \"calls_per_packet\": %.2f}\n", a[5], (unsigned long long)up,
           (unsigned long long)down, cpu / packets * 1e6, calls / packets);
    return 0;
}

static uint16_t sum(const unsigned char *p, int n) {
    uint32_t s = 0;
    for (int i = 0; i < n; i += 2) s += p[i] << 8 | p[i + 1];
    while (s >> 16) s = (s & 0xffff) + (s >> 16);
    return ~s;
}

static int feed(char **a) {
    int length = atoi(a[4]), sent = 0;
    double rate = atof(a[5]), seconds = atof(a[6]);
    if (length < 28 || length > 1400) return 2;
    udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = address(a[0], 5000), peer = address(a[1], atoi(a[2])), inner = address(a[3], 9);
    if (bind(udp, (void *)&here, sizeof here) < 0 || connect(udp, (void *)&peer, sizeof peer) < 0) die("bind");
    unsigned char packet[1400] = {0x45, 0, length >> 8, length, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 99, 0, 2};
    memcpy(packet + 16, &inner.sin_addr, 4);
    packet[20] = 0x30, packet[23] = 9, packet[24] = (length - 20) >> 8, packet[25] = length - 20;
    uint16_t check = sum(packet, 20);
    packet[10] = check >> 8, packet[11] = check;
    prctl(PR_SET_TIMERSLACK, 1000);
    double began = now(), at;
    while ((at = now()) - began < seconds) {
        int due = (at - began) * rate - sent;
        if (due > rate / 10) began += (due - rate / 10) / rate, due = rate / 10;
        for (int i = 0; i < due; i++) sent += send(udp, packet, length, 0) > 0;
        usleep(300);
    }
    printf("{\"sent\": %d}\n", sent);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 8 && !strcmp(arguments[1], "forward")) return forward(arguments + 2);
    if (count == 9 && !strcmp(arguments[1], "feed")) return feed(arguments + 2);
    fprintf(stderr, "see the head of thin.c\n");
    return 2;
}
