import GatewayTesting
import Glibc
import IKE
import IKEMessages
import Testing
import Wire

@Suite("Half-open SAs from real addresses while clients log in; threats.md P3, I7")
struct FloodTests {
    enum Source: CaseIterable, Sendable {
        /// 256 addresses, each with as many half-open SAs as it may have.
        case ipv4Prefix
        /// One source, whatever address of it speaks.
        case ipv6Prefix
        case everywhere

        func address(_ number: UInt32) -> IPAddress {
            switch self {
            case .ipv4Prefix: IPAddress(v4: 0xcb00_7100 + number % 256)
            case .ipv6Prefix: IPAddress(family: .ipv6, value: UInt128(0x2001_0db8_0bad_0000) << 64 | UInt128(number + 1))
            case .everywhere: IPAddress(v4: 0x0b00_0000 + number)
            }
        }
    }

    /// `IPSEC_GW_FLOOD` makes it longer (make soak: 20,000).
    static let count = getenv("IPSEC_GW_FLOOD").flatMap { UInt32(String(cString: $0)) } ?? 4000

    @Test("thousands of half-open SAs, cookies answered: the caps hold and clients get in", arguments: Source.allCases)
    func threat_P3_flood(_ source: Source) throws {
        let pair = try Pair()
        pair.checksEveryStep = false
        var requests = try Requests()
        var (clients, mostHalfOpen, mostOfSource) = ([pair.client], 0, 0)
        var replies: [[UInt8]] = []
        let carry = pair.gateway.send
        func receive(_ octets: [UInt8], _ remote: Endpoint) -> [[UInt8]] {
            replies = []
            pair.gateway.send = { replies.append($0.octets) }
            pair.gateway.receive(
                IKEDatagram(octets, local: Endpoint(Pair.gatewayAddress, port: 500), remote: remote), origin: .stranger, at: pair.now)
            pair.gateway.send = carry
            return replies
        }
        for number in 0..<Self.count {
            // A thousand a second: each shows that its address is its own where that is asked for, and then says nothing more.
            let remote = Endpoint(source.address(number), port: 500)
            if let reply = receive(requests.next(), remote).first,
                let cookie = try IKEMessage(parsing: reply).payloads.notify(.cookie)
            {
                _ = receive(requests.next(cookie: cookie.data, repeating: requests.last), remote)
            }
            mostHalfOpen = max(mostHalfOpen, pair.gateway.halfOpen)
            mostOfSource = max(mostOfSource, pair.gateway.gauges.halfOpen / max(1, pair.gateway.gauges.sources))
            guard number % 10 == 0 else { continue }
            if number % 100 == 0 {
                clients.append(pair.add())
                pair.start(clients.last)
            }
            pair.run(for: .milliseconds(10))
        }
        pair.start()
        pair.run(for: .seconds(20))
        let inside = clients.count { $0.isEstablished }
        #expect(inside * 10 >= clients.count * 9, "\(inside) of \(clients.count) clients got in")
        #expect(mostHalfOpen <= 10_000 && mostOfSource <= 16, "\(mostHalfOpen) half-open, \(mostOfSource) of one source")
        switch source {
        case .ipv4Prefix: #expect(mostHalfOpen <= 256 * 16 + clients.count)
        case .ipv6Prefix: #expect(mostHalfOpen <= 16 + clients.count)
        // Two seconds each from the hundredth on (limit-init-exchange).
        case .everywhere: #expect(mostHalfOpen < 3000)
        }
        expectSound(pair)
        pair.gateway.closeAll(.shutdown, at: pair.now)
        pair.drain()
        expectNothingLeft(pair)
    }
}
