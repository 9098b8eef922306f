import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

@Suite("Narrowing of traffic selectors: RFC 7296 section 2.9; TS-1, TS-2, TS-5")
struct NarrowingTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let asked: [TrafficSelector]
        let allowed: [TrafficSelector]
        let result: [TrafficSelector]

        init(_ description: String, _ asked: [String], _ allowed: [String], _ result: [String]) {
            testDescription = description
            self.asked = asked.map(selector)
            self.allowed = allowed.map(selector)
            self.result = result.map(selector)
        }
    }

    static let cases: [Case] = [
        Case("all to all", ["0.0.0.0/0"], ["0.0.0.0/0"], ["0.0.0.0/0"]),
        Case("all to a list", ["0.0.0.0/0"], ["10.0.0.0/8", "192.168.1.0/24"], ["10.0.0.0/8", "192.168.1.0/24"]),
        Case("a list to all", ["10.1.0.0/16", "10.3.0.0/16"], ["0.0.0.0/0"], ["10.1.0.0/16", "10.3.0.0/16"]),
        Case("part of it", ["10.1.0.0/16"], ["10.0.0.0/8"], ["10.1.0.0/16"]),
        Case("more than is allowed", ["10.0.0.0/8"], ["10.1.0.0/16"], ["10.1.0.0/16"]),
        Case("overlap", ["10.0.0.5-10.0.0.20"], ["10.0.0.10-10.0.0.30"], ["10.0.0.10-10.0.0.20"]),
        Case("nothing in common", ["10.0.0.0/8"], ["192.168.0.0/16"], []),
        Case("another family", ["::/0"], ["0.0.0.0/0"], []),
        Case("both families", ["0.0.0.0/0", "::/0"], ["10.0.0.0/8", "fd00::/8"], ["10.0.0.0/8", "fd00::/8"]),
        Case("nothing asked", [], ["0.0.0.0/0"], []),
        Case("nothing allowed", ["0.0.0.0/0"], [], []),
        Case("a protocol asked", ["0.0.0.0/0[6]"], ["10.0.0.0/8"], ["10.0.0.0/8[6]"]),
        Case("a protocol allowed", ["0.0.0.0/0"], ["10.0.0.0/8[17]"], ["10.0.0.0/8[17]"]),
        Case("two protocols", ["0.0.0.0/0[6]"], ["10.0.0.0/8[17]"], []),
        Case("ports", ["0.0.0.0/0[6]:80-443"], ["10.0.0.0/8[6]:443-8443"], ["10.0.0.0/8[6]:443-443"]),
        Case("ports without a common one", ["0.0.0.0/0[6]:80-80"], ["10.0.0.0/8[6]:443-443"], []),
        Case("opaque ports in any", ["0.0.0.0/0[17]:65535-0"], ["10.0.0.0/8[17]"], ["10.0.0.0/8[17]:65535-0"]),
        Case("opaque ports in some", ["0.0.0.0/0[17]:65535-0"], ["10.0.0.0/8[17]:53-53"], []),
        Case("opaque ports in themselves", ["0.0.0.0/0[17]:65535-0"], ["10.0.0.0/8[17]:65535-0"], ["10.0.0.0/8[17]:65535-0"]),
        Case("overlapping results are merged", ["10.0.0.0-10.0.0.9", "10.0.0.5-10.0.0.20"], ["0.0.0.0/0"], ["10.0.0.0-10.0.0.20"]),
        Case("adjoining results are merged", ["10.0.0.0/25", "10.0.0.128/25"], ["0.0.0.0/0"], ["10.0.0.0/24"]),
        Case("twice the same", ["10.0.0.0/24", "10.0.0.0/24"], ["0.0.0.0/0"], ["10.0.0.0/24"]),
        Case("one inside the other", ["10.0.0.0/24", "10.0.0.4"], ["0.0.0.0/0"], ["10.0.0.0/24"]),
        Case("the packet's own selector first, then the wish", ["10.0.0.4[6]:5000-5000", "10.0.0.0/24"], ["10.0.0.0/8"], ["10.0.0.0/24"]),
        Case("ports stay apart", ["10.0.0.4[6]:80-80", "10.0.0.4[6]:443-443"], ["0.0.0.0/0"], ["10.0.0.4[6]:80-80", "10.0.0.4[6]:443-443"]),
        Case("the last address", ["255.255.255.255", "255.255.255.254"], ["0.0.0.0/0"], ["255.255.255.254/31"]),
    ]

    @Test("the set intersection, merged", arguments: cases)
    func narrow(_ row: Case) {
        #expect(Narrowing.narrow(row.asked, to: row.allowed) == row.result)
    }

    @Test("what comes out lies within both, for random selectors; RFC 7296 section 2.9", arguments: [UInt64](1...200))
    func random(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        func selectors() -> [TrafficSelector] {
            (0..<Int.random(in: 1...6, using: &random)).compactMap { _ in
                let begin = UInt32.random(in: 0...60, using: &random)
                let ports: [(UInt16, UInt16)] = [(0, .max), (0, .max), (.max, 0), (10, 20), (15, 40), (20, 20)]
                let port = ports[Int.random(in: 0..<ports.count, using: &random)]
                return AddressRange(IPAddress(v4: begin), IPAddress(v4: begin + UInt32.random(in: 0...20, using: &random))).map {
                    TrafficSelector(
                        ipProtocol: [0, 6, 17][Int.random(in: 0..<3, using: &random)], startPort: port.0, endPort: port.1, addresses: $0)
                }
            }
        }
        let (asked, allowed) = (selectors(), selectors())
        let result = Narrowing.narrow(asked, to: allowed)
        func admits(_ selectors: [TrafficSelector], _ address: IPAddress, _ ipProtocol: UInt8, _ port: UInt16?) -> Bool {
            selectors.contains { selector in
                guard selector.addresses.contains(address), selector.ipProtocol == 0 || selector.ipProtocol == ipProtocol else { return false }
                if selector.startPort == 0 && selector.endPort == .max { return true }
                guard let port else { return selector.isOpaquePort }
                return selector.startPort <= port && port <= selector.endPort
            }
        }
        for address in (0..<85).map({ IPAddress(v4: $0) }) {
            for ipProtocol: UInt8 in [1, 6, 17] {
                for port: UInt16? in [nil, 0, 10, 15, 20, 21, 40, 41, 65535] {
                    let both = admits(asked, address, ipProtocol, port) && admits(allowed, address, ipProtocol, port)
                    guard admits(result, address, ipProtocol, port) != both else { continue }
                    Issue.record(
                        "seed \(seed): \(address) protocol \(ipProtocol) port \(String(describing: port)) is in \(both ? "both" : "the result") alone: \(asked) \(allowed) \(result)"
                    )
                    return
                }
            }
        }
    }

    @Test("TSi is the assigned address alone, TSr the ts-list (TS-1, TS-2, TS-5)")
    func login() throws {
        let pair = try Pair.established(profile: Pair.profile { $0.selectors = tsList("10.1.0.0/16", "10.2.0.0/16[6]:443-443") })
        #expect(pair.client.childSA?.localSelectors == [selector("10.9.0.2")])
        #expect(pair.client.childSA?.remoteSelectors == [selector("10.1.0.0/16"), selector("10.2.0.0/16[6]:443-443")])
        expectSound(pair)
    }

    @Test("TSi without the assigned address: TS_UNACCEPTABLE")
    func ownAddressNotAsked() throws {
        let pair = try Pair { $0.localSelectors = [selector("192.168.7.7")] }
        pair.connect()
        #expect(pair.client.refusals == [.tsUnacceptable])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("more selectors than fit one octet are cut at 255 (TS-5)")
    func mostSelectors() {
        let asked = (0..<32).map { selector("10.0.\($0 * 4).0-10.0.\($0 * 4).255") }
        let allowed = (0..<512).map { selector("10.0.\($0 / 4).\($0 % 4 * 2 + ($0 % 4) * 40)") }
        let result = Narrowing.narrow(asked + asked, to: allowed)
        #expect(result.count <= 255 && !result.isEmpty)
    }
}
