internal import CLinux
internal import Glibc
package import Wire

/// Whether the kernel passes packets on between devices, in the calling thread's namespace (see `NetworkNamespace.within`).
package enum Forwarding {
    /// The switch of a whole family, or of one device.
    package static func isOn(_ family: AddressFamily, interface: String? = nil) throws(SystemError) -> Bool {
        try SmallFile.text(path(family, interface)).hasPrefix("1")
    }

    /// The command that turns it on until the next boot.
    package static func command(_ family: AddressFamily, interface: String? = nil) -> String {
        let key: String =
            switch (family, interface) {
            case (.ipv4, nil): "net.ipv4.ip_forward"
            case (.ipv6, nil): "net.ipv6.conf.all.forwarding"
            // sysctl separates by dots, so a dot in a device's name is written as a slash
            case (.ipv4, let name?): "net.ipv4.conf.\(dotted(name)).forwarding"
            case (.ipv6, let name?): "net.ipv6.conf.\(dotted(name)).forwarding"
            }
        return "sysctl -w \(key)=1"
    }

    private static func dotted(_ name: String) -> String {
        String(name.map { $0 == "." ? "/" : $0 })
    }

    private static func path(_ family: AddressFamily, _ interface: String?) throws(SystemError) -> String {
        guard let interface else {
            return family == .ipv4 ? "/proc/sys/net/ipv4/ip_forward" : "/proc/sys/net/ipv6/conf/all/forwarding"
        }
        guard !interface.isEmpty, interface != ".", interface != "..", !interface.utf8.contains(UInt8(ascii: "/")) else {
            throw SystemError(EINVAL, call: "open", subject: "device `\(interface)`", hint: "a device's name holds no `/`")
        }
        return "/proc/sys/net/\(family == .ipv4 ? "ipv4" : "ipv6")/conf/\(interface)/forwarding"
    }
}
