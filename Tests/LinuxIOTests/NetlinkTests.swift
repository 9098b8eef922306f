import CLinux
import Glibc
import Testing
import Wire

@testable import LinuxIO

@Suite struct NetlinkTests {
    @Test func linksAreSetAndDescribed() throws {
        let wire = try Wire2()
        try wire.left.visit { () throws(SystemError) in
            var netlink = try Netlink()
            let names = try netlink.links().map(\.name)
            #expect(names.contains("lo") && names.contains("left") && !names.contains("right"))
            let nothing = try netlink.link(named: "absent")
            let tooLong = try netlink.link(named: "a-name-of-more-than-15")
            #expect(nothing == nil && tooLong == nil)
            guard let link = try netlink.link(named: "left"), let loopback = try netlink.link(named: "lo") else {
                Issue.record("no device")
                return
            }
            #expect(link.isUp && !link.isLoopback && link.mtu == 1500 && loopback.isLoopback)
            try netlink.setMTU(link.index, 1400)
            try netlink.setQueueLength(link.index, 77)
            try netlink.setUp(link.index, false)
            let changed = try netlink.link(named: "left")
            #expect(changed?.mtu == 1400 && changed?.isUp == false)
            let shown = try shell("ip link show dev left")
            #expect(shown.contains("mtu 1400") && shown.contains("qlen 77") && !shown.contains("UP"))
            try netlink.delete(link.index)
            let deleted = try netlink.link(named: "left")
            #expect(deleted == nil)
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func addressesComeAndGo(family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var netlink = try Netlink()
            try shell("ip link add dummy-a type veth peer name dummy-b; ip link set dummy-a up; ip link set dummy-b up")
            guard let link = try netlink.link(named: "dummy-a") else { return }
            let address = IPAddress(family == .ipv4 ? "10.1.2.3" : "2001:db8:1::3")!
            let length = family == .ipv4 ? 24 : 64
            try netlink.addAddress(address, prefixLength: length, to: link.index)
            let found = try netlink.addresses(of: link.index).filter { $0.address.family == family && $0.isGlobal }
            #expect(found.map(\.description) == ["\(address)/\(length)"])
            #expect(found.allSatisfy { $0.interface == link.index && !$0.isSecondary })
            let foreign = try netlink.isLocal(IPAddress(family == .ipv4 ? "10.1.2.4" : "2001:db8:2::4")!)
            #expect(!foreign)
            try netlink.awaitDelivery(to: address)
            let local = try netlink.isLocal(address)
            #expect(local)
            // usable at once, IPv6 too
            _ = try UDPPort(Endpoint(address, port: 0))
            let twice = failure { () throws(SystemError) in try netlink.addAddress(address, prefixLength: length, to: link.index) }
            #expect(twice?.number == EEXIST && twice?.subject.contains("\(address)/\(length)") == true)
            let shown = try shell("ip address show dev dummy-a")
            #expect(shown.contains("\(address)/\(length)"))
            try netlink.removeAddress(address, prefixLength: length, from: link.index)
            let after = try netlink.addresses(of: link.index).filter { $0.address == address }
            #expect(after.isEmpty)
            let absent = failure { () throws(SystemError) in try netlink.removeAddress(address, prefixLength: length, from: link.index) }
            #expect(absent?.number == EADDRNOTAVAIL)
        }
    }

    @Test(arguments: ["10.9.0.0/16", "10.9.8.7/32", "2001:db8:9::/48", "2001:db8:9::1/128", "0.0.0.0/0", "::/0"])
    func routesComeAndGo(text: String) throws {
        let wire = try Wire2()
        let destination = try #require(IPPrefix(text))
        let option = destination.family == .ipv4 ? "-4" : "-6"
        let shownName = destination.length == 0 ? "default" : destination.length == destination.family.bits ? "\(destination.address)" : text
        try wire.left.visit { () throws(SystemError) in
            var netlink = try Netlink()
            guard let link = try netlink.link(named: "left") else { return }
            let onLink = Route(destination, interface: link.index, metric: 50)
            var routed = Route(destination, interface: link.index, gateway: Wire2.rightAddress(destination.family), metric: 60)
            routed.preferredSource = Wire2.leftAddress(destination.family)
            try netlink.addRoute(onLink)
            try netlink.addRoute(routed)
            let found = try netlink.routes(destination.family, interface: link.index).filter { $0.destination == destination }
            #expect(Set(found) == [onLink, routed])
            let shown = try shell("ip \(option) route show \(destination.length == 0 ? "default" : text)")
            #expect(shown.contains("\(shownName) dev left proto static") || shown.contains("\(shownName) dev left"))
            #expect(
                shown.contains("via \(Wire2.rightAddress(destination.family)) dev left")
                    && shown.contains("src \(Wire2.leftAddress(destination.family))"))
            let twice = failure { () throws(SystemError) in try netlink.addRoute(onLink) }
            #expect(twice?.number == EEXIST && twice?.hint.contains("ip route show") == true)
            try netlink.deleteRoute(onLink)
            try netlink.deleteRoute(routed)
            let left = try netlink.routes(destination.family, interface: link.index).filter { $0.destination == destination }
            #expect(left.isEmpty)
            let absent = failure { () throws(SystemError) in try netlink.deleteRoute(onLink) }
            #expect(absent?.number == ESRCH)
        }
    }

    @Test func manyRoutesAreListedWhole() throws {
        let wire = try Wire2()
        try wire.left.visit { () throws(SystemError) in
            var netlink = try Netlink()
            guard let link = try netlink.link(named: "left") else { return }
            let wanted = (0..<2000).map { IPPrefix(host: IPAddress(v4: 0x0a00_0000 + UInt32($0))) }
            for destination in wanted { try netlink.addRoute(Route(destination, interface: link.index)) }
            let found = try netlink.routes(.ipv4, interface: link.index).map(\.destination)
            #expect(Set(found).isSuperset(of: wanted))
            for destination in wanted { try netlink.deleteRoute(Route(destination, interface: link.index)) }
            let after = try netlink.routes(.ipv4, interface: link.index).map(\.destination)
            #expect(Set(after).isDisjoint(with: wanted))
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func gatewayAddressAutoIsThatOfTheDefaultRoute(family: AddressFamily) throws {
        let wire = try Wire2()
        let everything = IPPrefix(family == .ipv4 ? "0.0.0.0/0" : "::/0")!
        let second = IPAddress(family == .ipv4 ? "198.51.100.7" : "2001:db8:a::7")!
        try wire.left.visit { () throws(SystemError) in
            var netlink = try Netlink()
            guard let link = try netlink.link(named: "left") else { return }
            let none = try netlink.defaultAddress(family)
            #expect(none == nil)
            try netlink.addAddress(second, prefixLength: family == .ipv4 ? 24 : 64, to: link.index)
            // the next hop is on the first block
            try netlink.addRoute(Route(everything, interface: link.index, gateway: Wire2.rightAddress(family), metric: 100))
            let byHop = try netlink.defaultAddress(family)
            #expect(byHop == Wire2.leftAddress(family))
            // a better route that names its source
            try netlink.addRoute(Route(everything, interface: link.index, preferredSource: second, metric: 10))
            let bySource = try netlink.defaultAddress(family)
            #expect(bySource == second)
        }
    }

    @Test func refusalsSayWhy() throws {
        let wire = try Wire2()
        try wire.left.visit { () throws(SystemError) in
            var netlink = try Netlink()
            guard let link = try netlink.link(named: "left") else { return }
            let absent = failure { () throws(SystemError) in try netlink.setUp(99_999) }
            #expect(absent?.number == ENODEV)
            let mtu = failure { () throws(SystemError) in try netlink.setMTU(link.index, 1 << 30) }
            #expect(mtu?.number == EINVAL && mtu?.hint.contains("MTU") == true)
            #expect(mtu?.description.contains("RTM_NEWLINK: Invalid argument") == true)
            try netlink.setUp(link.index, false)
            let down = failure { () throws(SystemError) in try netlink.addRoute(Route(IPPrefix("10.0.0.0/8")!, interface: link.index)) }
            #expect(down?.number == ENETDOWN && down?.hint.contains("the device must be up") == true)
            // after refusals the socket still answers
            let found = try netlink.link(named: "left")
            #expect(found?.index == link.index)
        }
    }

    /// The kernel is trusted, its octets are checked all the same.
    @Test func malformedMessagesAreReadWithoutATrap() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = Seeded(seed)
        var request = NetlinkRequest(Int(RTM_NEWROUTE), flags: 0, fixed: [UInt8](repeating: 0, count: 12))
        request.attribute(1, [10, 0, 0, 1])
        request.attribute(2, NetlinkRequest.nested([(3, [1]), (4, [])]))
        let good = request.finished(sequence: 7)
        let messages = NetlinkMessage.all(in: (good + good)[...])
        #expect(messages.count == 2 && messages.allSatisfy { $0.sequence == 7 && $0.attributes(after: 12)[1] == [10, 0, 0, 1] })
        #expect(messages.first.flatMap { $0.attributes(after: 12)[2] }.map { NetlinkMessage.attributes($0[...])[3] } == [1])
        for _ in 0..<10_000 {
            var octets = good
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                octets[Int.random(in: 0..<octets.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            octets = Array(octets.prefix(Int.random(in: 0...octets.count, using: &random)))
            for message in NetlinkMessage.all(in: octets[...]) {
                #expect(message.payload.count <= octets.count, "seed \(seed)")
                for (_, payload) in message.attributes(after: Int.random(in: 0...64, using: &random)) {
                    #expect(payload.count <= octets.count, "seed \(seed)")
                    _ = NetlinkMessage.attributes(payload[...])
                }
            }
        }
    }
}
