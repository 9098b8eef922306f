internal import CLinux
internal import Glibc
package import Wire

/// How long the kernel waits for the rest of a packet that came in fragments, for all packets of the calling thread's namespace (features.md DP-6).
package enum ReassemblyTime {
    /// Whole seconds.
    package static func seconds(_ family: AddressFamily) throws(SystemError) -> Int {
        let text = try SmallFile.text(path(family))
        guard let value = Int(text.prefix { $0 != "\n" }) else { throw SystemError(EINVAL, call: "read", subject: path(family)) }
        return value
    }

    package static func set(_ family: AddressFamily, seconds: Int) throws(SystemError) {
        try SmallFile.write("\(seconds)\n", to: path(family))
    }

    /// The command that does the same until the next boot.
    package static func command(_ family: AddressFamily, seconds: Int) -> String {
        "sysctl -w \(family == .ipv4 ? "net.ipv4.ipfrag_time" : "net.ipv6.ip6frag_time")=\(seconds)"
    }

    private static func path(_ family: AddressFamily) -> String {
        family == .ipv4 ? "/proc/sys/net/ipv4/ipfrag_time" : "/proc/sys/net/ipv6/ip6frag_time"
    }
}

/// Whether a device takes packets only from where answers to them would leave by it (`rp_filter`, RFC 3704); IPv4 alone has the switch.
package enum ReversePathFilter {
    /// Strict: the only setting that keeps a packet with an inner address of ours out of another device.
    package static func isStrict(on device: String) throws(SystemError) -> Bool {
        let all = try SmallFile.text("/proc/sys/net/ipv4/conf/all/rp_filter")
        guard !device.isEmpty, !device.contains("/"), device != ".", device != ".." else { return all.hasPrefix("1") }
        let own = try SmallFile.text("/proc/sys/net/ipv4/conf/\(device)/rp_filter")
        // The kernel takes the larger of the two
        return max(all.first ?? "0", own.first ?? "0") == "1"
    }

    package static func command(on device: String) -> String {
        "sysctl -w net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.\(String(device.map { $0 == "." ? "/" : $0 })).rp_filter=1"
    }
}
