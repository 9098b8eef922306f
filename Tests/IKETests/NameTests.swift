import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

@Suite("Names are octets; threats.md P39")
struct NameTests {
    static let strangeNames: [[UInt8]] = [
        [UInt8]("a\nb".utf8), [UInt8]("%n%s%x".utf8), [0x1b, 0x5b, 0x32, 0x4a], [UInt8]("admin\0.example.org".utf8), [UInt8]("$(id)'`\"".utf8),
        [0xff, 0xfe, 0xc0, 0x80], [UInt8]("\u{202e}gro.elpmaxe".utf8), [UInt8](repeating: 0x61, count: 2048), [UInt8]("\\x41".utf8),
    ]

    @Test("identities of any octets log in as what they are, and are shown as one line of ASCII", arguments: strangeNames)
    func threat_P39_strangeNames(_ name: [UInt8]) throws {
        for type: IDType in [.fqdn, .rfc822Address, .keyID, .derASN1DN, .derASN1GN, IDType(rawValue: 77)] {
            let identity = IdentificationPayload(type: type, data: name)
            let pair = try Pair { $0.identity = identity }
            pair.connect()
            #expect(pair.client.isEstablished)
            let peer = try #require(pair.entry?.establishment?.peer)
            #expect(peer.data == name && peer.type == type)
            let text = peer.description
            #expect(text.utf8.allSatisfy { (0x20...0x7e).contains($0) } && text.utf8.count <= 256)
            expectSound(pair)
        }
    }

    @Test(
        "identities that are too long, or of the wrong length for their type, are refused",
        arguments: [
            IdentificationPayload(type: .fqdn, data: [UInt8](repeating: 0x61, count: 2049)),
            IdentificationPayload(type: .keyID, data: [UInt8](repeating: 0x61, count: 60_000)),
            IdentificationPayload(type: .ipv4Address, data: [1, 2, 3]), IdentificationPayload(type: .ipv6Address, data: [1, 2, 3, 4]),
            IdentificationPayload(type: .fqdn, data: []),
        ])
    func threat_P39_wrongLengths(_ identity: IdentificationPayload) throws {
        let pair = try Pair { $0.identity = identity }
        pair.connect()
        #expect(pair.client.refusals == [.invalidSyntax])
        expectNobodyIn(pair)
    }

    @Test("names are compared octet by octet: a NUL or another case is another name")
    func threat_P39_exactNames() throws {
        let known = IdentificationPayload(form: "anna@example.org")
        for other in ["anna@example.org\0", "anna@example.org\0.evil.org", "ANNA@example.org", "anna@example.org "] {
            let pair = try Pair { $0.identity = IdentificationPayload(type: .rfc822Address, data: [UInt8](other.utf8)) }
            pair.gateway.credential = {
                $0.identity == known ? .credentials(.sharedKey(Secret(Pair.sharedKey), identity: Pair.gatewayIdentity)) : .refused("unknown")
            }
            pair.connect()
            expectNobodyIn(pair, "\(other)")
        }
    }
}
