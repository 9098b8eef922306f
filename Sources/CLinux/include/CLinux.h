// Thin shims over what Swift cannot import from the kernel's and the C library's headers: macros, variadic calls,
// the walk over control messages. No logic here.
#ifndef GW_CLINUX_H
#define GW_CLINUX_H

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
#include <netinet/udp.h>
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
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// ---- control messages ----
static inline size_t gw_cmsg_space(size_t length) { return CMSG_SPACE(length); }
static inline size_t gw_cmsg_length(size_t length) { return CMSG_LEN(length); }
static inline struct cmsghdr *gw_cmsg_first(const struct msghdr *message) { return CMSG_FIRSTHDR(message); }
static inline struct cmsghdr *gw_cmsg_next(struct msghdr *message, struct cmsghdr *control) { return CMSG_NXTHDR(message, control); }
static inline void *gw_cmsg_data(struct cmsghdr *control) { return CMSG_DATA(control); }

// ---- ioctl and fcntl, which are variadic ----
static inline int gw_tun_set_interface(int fd, struct ifreq *request) { return ioctl(fd, TUNSETIFF, request); }
static inline int gw_tun_get_interface(int fd, struct ifreq *request) { return ioctl(fd, TUNGETIFF, request); }
static inline int gw_tun_set_offload(int fd, unsigned int flags) { return ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags); }
static inline int gw_tun_set_vnet_header_size(int fd, int size) { return ioctl(fd, TUNSETVNETHDRSZ, &size); }
static inline int gw_fcntl_get_flags(int fd) { return fcntl(fd, F_GETFL); }
static inline int gw_fcntl_set_flags(int fd, int flags) { return fcntl(fd, F_SETFL, flags); }

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

// ---- processor sets are macros ----
static inline int gw_pin_thread(pthread_t thread, int cpu) {
    cpu_set_t set;
    if (cpu < 0 || cpu >= CPU_SETSIZE) return EINVAL;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return pthread_setaffinity_np(thread, sizeof set, &set);
}
/// The processor that the calling thread may run on when it is exactly one, else -1.
static inline int gw_only_cpu(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) != 1) return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set)) return cpu;
    return -1;
}

// ---- constants whose macros Swift does not import ----
static const unsigned int gw_iff_tun_excl = IFF_TUN_EXCL;
static const int gw_clone_newnet = CLONE_NEWNET;
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#endif
