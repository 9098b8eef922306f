internal import CLinux
internal import Glibc

/// Rights of a process beyond those of its user, by their numbers in `<linux/capability.h>`.
package enum Capability: Int32, Sendable, CaseIterable, CustomStringConvertible {
    /// Ports below 1024.
    case netBindService = 10
    /// Devices, addresses, routes, large socket buffers.
    case netAdmin = 12
    /// Raw sockets: native ESP.
    case netRaw = 13
    /// Other network namespaces.
    case sysAdmin = 21

    /// As the systemd unit and `setcap` spell it.
    package var description: String {
        switch self {
        case .netBindService: "CAP_NET_BIND_SERVICE"
        case .netAdmin: "CAP_NET_ADMIN"
        case .netRaw: "CAP_NET_RAW"
        case .sysAdmin: "CAP_SYS_ADMIN"
        }
    }

    /// What of `needed` this process may not do now (CapEff of /proc/self/status).
    package static func missing(of needed: [Capability]) throws(SystemError) -> [Capability] {
        let status = try SmallFile.text("/proc/self/status")
        guard let effective = effective(inStatus: status) else {
            throw SystemError(EINVAL, call: "read", subject: "/proc/self/status", hint: "is /proc mounted?")
        }
        return needed.filter { effective >> UInt64($0.rawValue) & 1 == 0 }
    }

    /// The CapEff line of a status file as bits.
    static func effective(inStatus text: String) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix("CapEff:") {
            return UInt64(line.dropFirst("CapEff:".count).filter { !$0.isWhitespace }, radix: 16)
        }
        return nil
    }
}

/// What a process that holds keys does at its start.
package enum ProcessHardening {
    /// No core dump and no reading of our memory by processes of the same user (threats.md P28).
    package static func forbidDumps() throws(SystemError) {
        guard gw_set_dumpable(0) == 0 else { throw .last("prctl PR_SET_DUMPABLE") }
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        guard unsafe setrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &none) == 0 else { throw .last("setrlimit RLIMIT_CORE") }
    }

    /// Whether memory may be dumped or read by others of our user.
    package static var isDumpable: Bool { gw_get_dumpable() == 1 }

    /// Raises the soft limit of open files towards `wanted`, as far as the hard limit goes. Returns the limit that now holds.
    package static func raiseFileLimit(to wanted: UInt64) throws(SystemError) -> UInt64 {
        var limit = rlimit()
        guard unsafe getrlimit(RLIMIT_NOFILE, &limit) == 0 else { throw .last("getrlimit RLIMIT_NOFILE") }
        guard limit.rlim_cur < wanted else { return UInt64(limit.rlim_cur) }
        let hard = limit.rlim_max
        limit.rlim_cur = rlim_t(wanted)
        limit.rlim_max = max(hard, rlim_t(wanted))
        if hard < wanted, unsafe setrlimit(RLIMIT_NOFILE, &limit) == 0 { return wanted }
        // without CAP_SYS_RESOURCE the hard limit is the end
        limit.rlim_max = hard
        limit.rlim_cur = min(rlim_t(wanted), hard)
        guard unsafe setrlimit(RLIMIT_NOFILE, &limit) == 0 else { throw .last("setrlimit RLIMIT_NOFILE") }
        return UInt64(limit.rlim_cur)
    }
}
