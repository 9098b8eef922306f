import Glibc
import LinuxIO
import Testing
import Wire

/// Settings of a namespace that the gateway reads, or writes.
@Suite struct KernelSettingsTests {
    @Test("DP-6: how long the kernel waits for fragments is read and set in this namespace alone", arguments: AddressFamily.allCases)
    func DP_6_reassemblyTime(family: AddressFamily) throws {
        let one = try freshNamespace()
        let other = try freshNamespace()
        let before = try other.visit { () throws(SystemError) in try ReassemblyTime.seconds(family) }
        let set = try one.visit { () throws(SystemError) in
            try ReassemblyTime.set(family, seconds: before + 7)
            return try ReassemblyTime.seconds(family)
        }
        #expect(set == before + 7)
        let after = try other.visit { () throws(SystemError) in try ReassemblyTime.seconds(family) }
        #expect(after == before)
        // The command that an operator is told does the same
        let command = ReassemblyTime.command(family, seconds: before + 9)
        let told = try one.visit { () throws(SystemError) in
            try shell(command)
            return try ReassemblyTime.seconds(family)
        }
        #expect(told == before + 9)
    }

    @Test(
        "threats.md C14: strict only where the larger of both switches is 1",
        arguments: [(0, 0, false), (0, 1, true), (1, 0, true), (1, 2, false), (2, 1, false)])
    func threat_C14_reversePathFilter(all: Int, own: Int, isStrict: Bool) throws {
        let namespace = try freshNamespace()
        let (found, after) = try namespace.visit { () throws(SystemError) in
            try shell("sysctl -qw net.ipv4.conf.all.rp_filter=\(all) net.ipv4.conf.lo.rp_filter=\(own)")
            let found = try ReversePathFilter.isStrict(on: "lo")
            try shell(ReversePathFilter.command(on: "lo"))
            return (found, try ReversePathFilter.isStrict(on: "lo"))
        }
        #expect(found == isStrict)
        #expect(after)
    }

    @Test("threats.md C14: chains of nftables are seen, of iptables over it too; others' are not")
    func threat_C14_packetFilters() throws {
        let namespace = try freshNamespace()
        func inUse() throws(SystemError) -> Netfilter { try namespace.visit { () throws(SystemError) in try Netfilter.inUse() } }
        func run(_ command: String) throws(SystemError) { try namespace.visit { () throws(SystemError) in _ = try shell(command) } }
        #expect(try inUse() == Netfilter())
        // Neither looks at forwarded packets
        try run("nft add table inet t; nft 'add chain inet t in { type filter hook input priority 0; }'; nft add chain inet t plain")
        #expect(try inUse() == Netfilter())
        try run("nft 'add chain inet t through { type filter hook forward priority 0; }'")
        #expect(try inUse().filtersForwarded)
        #expect(try !inUse().translatesSources)
        try run("nft add table ip n; nft 'add chain ip n pre { type nat hook prerouting priority -100; }'")
        #expect(try !inUse().translatesSources)
        try run("nft 'add chain ip n post { type nat hook postrouting priority 100; }'")
        #expect(try inUse().translatesSources)
        try run("nft flush ruleset")
        #expect(try inUse() == Netfilter())
    }
}
