// Thin shims over what Swift cannot import from the kernel's and the C library's headers: macros, variadic calls,
// the walk over control messages. No logic here.
#ifndef GW_CLINUX_H
#define GW_CLINUX_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
// not netinet/udp.h: its struct udphdr is another one than SwiftNIO's, and a module that sees both does not compile
#include <linux/udp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// ---- control messages ----
static inline size_t gw_cmsg_space(size_t length) { return CMSG_SPACE(length); }
static inline size_t gw_cmsg_length(size_t length) { return CMSG_LEN(length); }
static inline struct cmsghdr *gw_cmsg_first(const struct msghdr *message) { return CMSG_FIRSTHDR(message); }
static inline struct cmsghdr *gw_cmsg_next(struct msghdr *message, struct cmsghdr *control) { return CMSG_NXTHDR(message, control); }
static inline void *gw_cmsg_data(struct cmsghdr *control) { return CMSG_DATA(control); }

// ---- ioctl, fcntl and open are variadic ----
static inline int gw_tun_set_interface(int fd, struct ifreq *request) { return ioctl(fd, TUNSETIFF, request); }
static inline int gw_tun_get_features(int fd, unsigned int *features) { return ioctl(fd, TUNGETFEATURES, features); }
static inline int gw_tun_set_offload(int fd, unsigned long offloads) { return ioctl(fd, TUNSETOFFLOAD, offloads); }
static inline int gw_open(const char *path, int flags, unsigned int mode) { return open(path, flags, mode); }

/// Names the device that a TUNSETIFF is about; 0, or -1 when the name does not fit.
static inline int gw_ifreq_init(struct ifreq *request, const char *name, short flags) {
    size_t length = strlen(name);
    memset(request, 0, sizeof *request);
    if (length == 0 || length >= IFNAMSIZ) return -1;
    memcpy(request->ifr_name, name, length);
    request->ifr_flags = flags;
    return 0;
}
static inline const char *gw_ifreq_name(const struct ifreq *request) { return request->ifr_name; }

// ---- prctl is variadic ----
static inline int gw_set_dumpable(int on) { return prctl(PR_SET_DUMPABLE, (unsigned long)on, 0UL, 0UL, 0UL); }
static inline int gw_get_dumpable(void) { return prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL); }

// ---- with _GNU_SOURCE these take a transparent union, which Swift cannot fill ----
static inline int gw_bind(int fd, const void *address, socklen_t length) { return bind(fd, (const struct sockaddr *)address, length); }
static inline int gw_connect(int fd, const void *address, socklen_t length) { return connect(fd, (const struct sockaddr *)address, length); }
static inline int gw_getsockname(int fd, void *address, socklen_t *length) { return getsockname(fd, (struct sockaddr *)address, length); }
static inline ssize_t gw_sendto(int fd, const void *data, size_t count, int flags, const void *address, socklen_t length) {
    return sendto(fd, data, count, flags, (const struct sockaddr *)address, length);
}
static inline ssize_t gw_recvfrom(int fd, void *data, size_t count, int flags, void *address, socklen_t *length) {
    return recvfrom(fd, data, count, flags, (struct sockaddr *)address, length);
}

// ---- processor sets are macros ----
/// Lets a thread to be created with the attributes run on one processor only; an errno, or 0.
static inline int gw_thread_attributes_pin(pthread_attr_t *attributes, int cpu) {
    cpu_set_t set;
    if (cpu < 0 || cpu >= CPU_SETSIZE) return EINVAL;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return pthread_attr_setaffinity_np(attributes, sizeof set, &set);
}
/// Whether the calling thread may run on a processor.
static inline int gw_may_run_on(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    return cpu >= 0 && cpu < CPU_SETSIZE && sched_getaffinity(0, sizeof set, &set) == 0 && CPU_ISSET(cpu, &set);
}

// ---- directory entries end in a flexible name ----
static inline const char *gw_entry_name(const struct dirent *entry) { return entry->d_name; }

// ---- unions and long paths ----
static inline void gw_epoll_event_set(struct epoll_event *event, uint32_t events, uint64_t token) {
    event->events = events;
    event->data.u64 = token;
}
static inline uint64_t gw_epoll_event_token(const struct epoll_event *event) { return event->data.u64; }
/// The path buffer of a local socket address, 108 octets.
static inline char *gw_sockaddr_un_path(struct sockaddr_un *address) { return address->sun_path; }

// ---- options that the C library's headers may not know yet ----
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

#endif
