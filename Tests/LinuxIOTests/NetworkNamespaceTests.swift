import CLinux
import Glibc
import Synchronization
import Testing
import Wire

@testable import LinuxIO

@Suite struct NetworkNamespaceTests {
    static func identity() -> String? { SmallFile.target(ofLink: "/proc/thread-self/ns/net") }

    @Test func workWithinLeavesTheCallerWhereItWas() throws {
        let namespace = try freshNamespace()
        let before = Self.identity()
        let (inside, current) = try namespace.within { () throws(SystemError) in
            (Self.identity(), try Netlink.here { (netlink) throws(SystemError) in try netlink.links().map(\.name) })
        }
        #expect(inside != nil && inside != before)
        #expect(current.contains("lo") && !current.contains("eth0"))
        #expect(Self.identity() == before)
        // an error comes through, and a second visit is the same place
        let error = failure { () throws(SystemError) in try namespace.within { () throws(SystemError) in throw SystemError(EIO, call: "test") } }
        #expect(error?.call == "test")
        let again = try namespace.within { Self.identity() }
        #expect(again == inside)
    }

    @Test func namedNamespacesAreFoundAndMissingOnesExplained() throws {
        try requireRoot()
        let name = "ipsecgw-name-\(getpid())"
        try shell("ip netns add \(name)")
        defer { _ = try? shell("ip netns delete \(name)") }
        let namespace = try NetworkNamespace(named: name)
        let inside = try namespace.within { Self.identity() }
        #expect(inside != Self.identity())
        let missing = failure { () throws(SystemError) in _ = try NetworkNamespace(named: name + "-absent") }
        #expect(missing?.number == ENOENT && missing?.hint.contains("ip netns add") == true)
        for bad in ["", "..", "a/b"] {
            let error = failure { () throws(SystemError) in _ = try NetworkNamespace(named: bad) }
            #expect(error?.number == EINVAL)
        }
    }

    @Test func aThreadOfOurOwnMayStay() throws {
        let namespace = try freshNamespace()
        let expected = try namespace.within { Self.identity() }
        let seen = SeenText()
        let thread = try PinnedThread(name: "resident", context: namespace) { (namespace: consuming NetworkNamespace) in
            do {
                try namespace.enter()
                let name = Self.identity()
                seen.text.withLock { $0 = name }
            } catch {
                seen.text.withLock { $0 = "\(error)" }
            }
        }
        thread.join()
        #expect(seen.text.withLock { $0 } == expected)
    }

    final class SeenText: Sendable { let text = Mutex<String?>(nil) }

    /// Without a name nothing is left: not even when a test dies here. Other programs make and remove namespaces meanwhile, so entries are told
    /// apart by what they are, not counted.
    @Test func anUnnamedNamespaceHasNoEntry() throws {
        func identities(_ path: String) throws(SystemError) -> [String] {
            try shell("stat -L -c %d:%i \(path) 2>/dev/null || true").split(separator: "\n").map(String.init)
        }
        let namespace = try freshNamespace()
        #expect(namespace.name == "unnamed")
        let unnamed = try namespace.within { () throws(SystemError) in try identities("/proc/self/ns/net") }
        #expect(try unnamed.count == 1 && unnamed != identities("/proc/self/ns/net"))
        // one that has a name is found in this way
        let name = "ipsecgw-entry-\(getpid())"
        try shell("ip netns add \(name)")
        defer { _ = try? shell("ip netns delete \(name)") }
        let named = try NetworkNamespace(named: name).within { () throws(SystemError) in try identities("/proc/self/ns/net") }
        let entries = try identities("/run/netns/*")
        #expect(named.count == 1 && named.allSatisfy(entries.contains) && !unnamed.contains(where: entries.contains))
    }

    @Test func forwardingIsReadPerNamespaceAndDevice() throws {
        let wire = try Wire2()
        try wire.left.within { () throws(SystemError) in
            for family in AddressFamily.allCases {
                let folder = family == .ipv4 ? "ipv4" : "ipv6"
                for value in [0, 1, 0] {
                    try shell(Forwarding.command(family).replacing("=1", with: "=\(value)"))
                    let all = try Forwarding.isOn(family)
                    #expect(all == (value == 1))
                    try shell("echo \(1 - value) > /proc/sys/net/\(folder)/conf/left/forwarding")
                    let one = try Forwarding.isOn(family, interface: "left")
                    #expect(one == (value == 0))
                }
                let absent = failure { () throws(SystemError) in _ = try Forwarding.isOn(family, interface: "absent") }
                #expect(absent?.number == ENOENT)
                let bad = failure { () throws(SystemError) in _ = try Forwarding.isOn(family, interface: "../../kernel") }
                #expect(bad?.number == EINVAL)
            }
        }
        #expect(Forwarding.command(.ipv4, interface: "eth0.5") == "sysctl -w net.ipv4.conf.eth0/5.forwarding=1")
    }
}
