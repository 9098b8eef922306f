import ESP
import PacketFixtures
import Testing
import Wire

@Suite struct InnerRoutesTests {
    static func prefix(_ text: String) -> IPPrefix { IPPrefix(text) ?? IPPrefix(host: IPAddress(v4: 0)) }
    static func target(_ tunnel: Int) -> RouteTarget { RouteTarget(worker: 0, tunnel: tunnel, generation: 1) }
    static func lookup(_ routes: InnerRoutes, _ text: String) -> Int? {
        let address = Packets.address(text)
        return routes.lookup(address.value, isIPv6: address.family == .ipv6)?.tunnel
    }

    @Test func theLongestPrefixWins() {
        let routes = InnerRoutes(capacity: 32, seed: 1)
        for (tunnel, text) in [
            "0.0.0.0/0", "10.0.0.0/8", "10.99.0.0/16", "10.99.0.10/32", "::/0", "2001:db8::/32", "2001:db8::/64", "2001:db8::10/128",
        ].enumerated() {
            #expect(routes.insert(Self.prefix(text), Self.target(tunnel)))
            #expect(!routes.insert(Self.prefix(text), Self.target(99)))
        }
        let table = [
            ("192.0.2.1", 0), ("10.1.1.1", 1), ("10.99.1.1", 2), ("10.99.0.10", 3), ("fe80::1", 4), ("2001:db8:1::1", 5), ("2001:db8::11", 6),
            ("2001:db8::10", 7),
        ]
        for (address, tunnel) in table { #expect(Self.lookup(routes, address) == tunnel, "\(address)") }
        #expect(routes.remove(Self.prefix("10.99.0.10/32"), Self.target(4)) == nil)
        #expect(routes.remove(Self.prefix("10.99.0.10/32"), Self.target(3)) != nil)
        #expect(Self.lookup(routes, "10.99.0.10") == 2)
    }

    @Test func aRouteIsLedElsewhere() {
        let routes = InnerRoutes(capacity: 8, seed: 1)
        let prefix = Self.prefix("10.99.0.10/32")
        let (old, new) = (
            RouteTarget(worker: 0, tunnel: 7, generation: .max), RouteTarget(worker: 63, tunnel: 1 << 26 - 1, generation: 0x8000_0001)
        )
        #expect(!routes.retarget(prefix, from: old, to: new))
        #expect(routes.insert(prefix, old) && routes.insert(Self.prefix("10.99.0.0/24"), Self.target(1)))
        #expect(!routes.retarget(prefix, from: new, to: old))
        #expect(routes.retarget(prefix, from: old, to: new))
        #expect(routes.lookup(Packets.address("10.99.0.10").value, isIPv6: false) == new)
        #expect(Self.lookup(routes, "10.99.0.11") == 1 && routes.count == 2)
        #expect(routes.remove(prefix, old) == nil && routes.remove(prefix, new) != nil)
    }

    @Test func theTableHasACap() {
        let routes = InnerRoutes(capacity: 4, seed: 1)
        for number in 0..<4 { #expect(routes.insert(Self.prefix("10.0.0.\(number)"), Self.target(number))) }
        #expect(!routes.insert(Self.prefix("10.0.0.9"), Self.target(9)))
        guard let removed = routes.remove(Self.prefix("10.0.0.2"), Self.target(2)) else { return }
        #expect(!routes.insert(Self.prefix("10.0.0.9"), Self.target(9)))
        routes.reclaim(removed)
        #expect(routes.insert(Self.prefix("10.0.0.9"), Self.target(9)))
        #expect(routes.count == 4)
    }

    @Test func randomAgainstReference() {
        let seed: UInt64 = 424_242
        print("InnerRoutes seed \(seed)")
        var numbers = SeededNumbers(seed: seed)
        let routes = InnerRoutes(capacity: 600, seed: seed)
        var reference: [IPPrefix: RouteTarget] = [:]
        for step in 0..<5_000 {
            let length = [8, 16, 24, 32, 32, 32].randomElement(using: &numbers) ?? 32
            let address = IPAddress(v4: 0x0a00_0000 | UInt32(truncatingIfNeeded: numbers.next()) & 0x0103_073f)
            guard let prefix = IPPrefix(address, length: length) else { continue }
            if numbers.next() % 2 == 0 {
                let target = Self.target(step)
                let isNew = reference[prefix] == nil && reference.count < 500
                if isNew || reference[prefix] != nil { #expect(routes.insert(prefix, target) == isNew) }
                if isNew { reference[prefix] = target }
            } else if let target = reference.removeValue(forKey: prefix) {
                guard let removed = routes.remove(prefix, target) else {
                    Issue.record("step \(step), seed \(seed)")
                    return
                }
                routes.reclaim(removed)
            }
            let probe = IPAddress(v4: 0x0a00_0000 | UInt32(truncatingIfNeeded: numbers.next()) & 0x0103_073f)
            let expected = reference.filter { $0.key.contains(probe) }.max { $0.key.length < $1.key.length }?.value
            guard routes.lookup(probe.value, isIPv6: false) == expected else {
                Issue.record("step \(step), seed \(seed), \(probe)")
                return
            }
        }
    }
}
