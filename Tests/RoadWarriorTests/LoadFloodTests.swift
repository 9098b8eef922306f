import IKEMessages
import RoadWarrior
import Testing
import Wire

@testable import ipsec_load

/// What floods are made of.
struct LoadFloodTests {
    static let remote = Endpoint(IPAddress(v4: 0xc000_0201), port: 500)
    static let templates = InitTemplates(count: 2, seed: 9, remote: remote, proposals: ProposalText.ikeDefault)

    @Test func threat_P1_everyRequestIsAWholeOne() throws {
        #expect(Self.templates.templates.count == 2)
        var nonces: Set<[UInt8]> = []
        var keys: Set<[UInt8]> = []
        for spi in UInt64(1)...20 {
            let octets = Self.templates[spi].message(spi: spi, seed: 9)
            let message = try IKEMessage(parsing: octets)
            #expect(message.header.initiatorSPI == spi && message.header.exchange == .ikeSAInit && Int(message.header.length) == octets.count)
            _ = try IKESAInitRequest(message)
            for payload in message.payloads {
                if case .nonce(let nonce) = payload { nonces.insert(nonce.octets) }
                if case .keyExchange(let exchange) = payload { keys.insert(exchange.data) }
            }
        }
        #expect(nonces.count == 20 && keys.count == 2)
        // The same SPI has the same nonce, so that a cookie can be returned by who remembers nothing.
        #expect(Self.templates[7].message(spi: 7, seed: 9) == Self.templates[7].message(spi: 7, seed: 9))
        #expect(Self.templates[7].message(spi: 7, seed: 9) != Self.templates[7].message(spi: 7, seed: 10))
    }

    @Test(arguments: [1, 24, 64]) func RFC7296_2_6_cookiesComeFirst(length: Int) throws {
        let cookie = [UInt8](repeating: 0xc0, count: length)
        let octets = Self.templates[7].message(spi: 7, seed: 9, cookie: cookie[...])
        let message = try IKEMessage(parsing: octets)
        guard case .notify(let first) = message.payloads.first else {
            Issue.record("no notification in front")
            return
        }
        #expect(first.type == .cookie && first.data == cookie && Int(message.header.length) == octets.count)
        #expect(
            Array(octets.dropFirst(IKEHeader.length + 8 + length)) == Array(Self.templates[7].message(spi: 7, seed: 9).dropFirst(IKEHeader.length)))
    }

    @Test(arguments: [("192.0.2.1", "198.51.0.0/16"), ("2001:db8:1::1", "2001:db8:ff00::/40")])
    func threat_P1_spoofedPackets(gateway: String, prefix: String) throws {
        let remote = Endpoint(try #require(IPAddress(gateway)), port: 500)
        let prefix = try #require(IPPrefix(prefix))
        let template = Self.templates[7]
        var generator = SplitMix64(seed: 4)
        var sources: Set<IPAddress> = []
        for _ in 0..<100 {
            let source = SpoofedPacket.address(in: prefix, using: &generator)
            #expect(prefix.contains(source))
            sources.insert(source)
            var packet = [UInt8](repeating: 0xaa, count: SpoofedPacket.headers(remote.address.family) + template.octets.count)
            packet.withUnsafeMutableBytes {
                SpoofedPacket.write(template, spi: 7, seed: 9, from: Endpoint(source, port: 1234), to: remote, into: $0)
            }
            let read = try #require(InnerDatagram(packet))
            #expect(read.source == Endpoint(source, port: 1234) && read.destination == remote)
            #expect(Array(read.payload) == template.message(spi: 7, seed: 9))
            let udp = SpoofedPacket.headers(remote.address.family) - 8
            let addresses = packet[(remote.address.family == .ipv4 ? 12 : 8)..<udp]
            #expect(InternetChecksum.ofUDP(packet[udp...], addresses: addresses) == 0xffff)
        }
        #expect(sources.count > 90)
    }

    @Test func RFC1071_sums() {
        var generator = SplitMix64(seed: 3)
        for count in 0..<200 {
            let octets = (0..<count).map { _ in generator.next() % 4 == 0 ? 0xff : UInt8(truncatingIfNeeded: generator.next()) }
            var expected = 0
            for (index, octet) in octets.enumerated() { expected += index % 2 == 0 ? Int(octet) << 8 : Int(octet) }
            while expected > 0xffff { expected = expected >> 16 + expected & 0xffff }
            #expect(InternetChecksum.of(octets[...]) == ~UInt16(expected), "\(count) octets")
        }
    }

    /// Each does something, none of them traps on any message, and a seed says it all.
    @Test(arguments: Malformation.allCases)
    func malformationsAreRepeatable(_ kind: Malformation) {
        let base = Self.templates[7].message(spi: 7, seed: 9)
        for (number, message) in [base, [], Array(base.prefix(28)), Array(base.prefix(40)), [UInt8](repeating: 0xff, count: 60)].enumerated() {
            guard message.count >= 28 || kind != .header else { continue }
            var (one, other) = (SplitMix64(seed: 11), SplitMix64(seed: 11))
            var different = 0
            for round in 0..<500 {
                let live: (initiator: UInt64, responder: UInt64)? = round % 2 == 0 ? nil : (3, 4)
                let first = kind.message(from: message, live: live, using: &one)
                let second = kind.message(from: message, live: live, using: &other)
                #expect(first == second && first.octets.count <= 2000)
                if first.octets != message || first.isForNATPort { different += 1 }
            }
            // A number drawn at random may be the right one.
            #expect(number > 0 || different > 450, "\(kind): \(different)")
        }
    }

    @Test func amplificationIsOfWholePackets() throws {
        var book = FloodBook(kind: .spoofed, rate: 1, seed: 1)
        #expect(book.amplification == nil)
        book.octetsSent = 400
        var cookie: [UInt8] = []
        var header = IKEHeader(initiatorSPI: 7, responderSPI: 0, exchange: .ikeSAInit, flags: [.response], messageID: 0)
        header.nextPayload = .notify
        header.encode(into: &cookie)
        cookie += [0, 0, 0, 11, 0, 0, 0x40, 0x06, 1, 2, 3]
        guard case .cookie(7, let data) = book.answers.note(cookie[...], octets: 100) else {
            Issue.record("no cookie")
            return
        }
        #expect(Array(data) == [1, 2, 3] && book.amplification == 0.25 && book.answers.kinds.values.reduce(0, +) == 1)
        for count in 0..<cookie.count { _ = Answers.kind(cookie.prefix(count)) }
    }
}
