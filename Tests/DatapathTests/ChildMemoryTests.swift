import Datapath
import ESP
import GatewayCrypto
import GatewayTesting
import PacketFixtures
import Testing
import Wire

@Suite("After the end of a Child SA none of its keys is in memory; threats.md P28, I11", .serialized)
struct ChildMemoryTests {
    static let client = "10.99.0.10"
    static let server = "10.1.2.3"

    private enum End: CaseIterable { case retired, closed, refused }

    static func suites() throws -> [(String, ESPSuite)] {
        let kinds: [(String, EncryptionAlgorithm, Int, IntegrityAlgorithm)] = [
            ("aes128gcm16", .aesGCM16, 128, .none), ("aes256gcm16", .aesGCM16, 256, .none),
            ("chacha20poly1305", .chaCha20Poly1305, 0, .none), ("aes256-sha256", .aesCBC, 256, .hmacSHA256_128),
        ]
        return try kinds.map { name, encryption, bits, integrity in
            let suite = try #require(ProtectionSuite(encryption: encryption, keyBits: bits, integrity: integrity))
            return (name, ESPSuite(protection: suite, extendedSequenceNumbers: true))
        }
    }

    private static func keys(_ suite: ESPSuite) -> ChildSAKeys {
        let entropy = SystemEntropy()
        let (encryption, integrity) = (suite.protection.encryptionKeyLength, suite.protection.integrityKeyLength)
        return ChildSAKeys(
            inboundEncryption: entropy.secret(encryption), inboundIntegrity: entropy.secret(integrity),
            outboundEncryption: entropy.secret(encryption), outboundIntegrity: entropy.secret(integrity))
    }

    /// What to look for, by name.
    private static func disguised(_ keys: borrowing ChildSAKeys) -> [(String, DisguisedSecret)] {
        var secrets = [
            ("SK_ei", DisguisedSecret(beginningOf: keys.inboundEncryption)), ("SK_er", DisguisedSecret(beginningOf: keys.outboundEncryption)),
        ]
        if keys.inboundIntegrity.count > 0 {
            secrets.append(("SK_ai", DisguisedSecret(beginningOf: keys.inboundIntegrity)))
            secrets.append(("SK_ar", DisguisedSecret(beginningOf: keys.outboundIntegrity)))
        }
        return secrets
    }

    /// Sealed by the client, who ends with this call.
    private static func sealed(_ suite: ESPSuite, _ spi: LocalSPI, _ keys: borrowing ChildSAKeys) throws -> [[UInt8]] {
        var outbound = try OutboundSA(
            spi: spi.rawValue, suite: suite, encryptionKey: keys.inboundEncryption, integrityKey: keys.inboundIntegrity, entropy: SystemEntropy())
        var packets: [[UInt8]] = []
        for number in UInt16(0)..<20 {
            packets.append(try outbound.seal(Packets.ipv4(client, server, payload: Packets.udp(number, 2, octets: 100))))
        }
        return packets
    }

    /// One Child SA's life with packets both ways.
    private static func live(_ suite: ESPSuite, _ end: End) async throws -> [(String, DisguisedSecret)] {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let spec = TunnelSpec(
            worker: 1, interface: "priv0", innerAddresses: [Packets.address(client)], settings: TunnelSettings(), peer: Rig.peer, local: Rig.gateway)
        let id = try #require(rig.control.open(tunnel: spec))
        let spi = try #require(rig.control.allocateSPI(worker: 1))
        if end == .refused { _ = await rig.control.close(tunnel: id) }
        let keys = keys(suite)
        let secrets = disguised(keys)
        for (name, secret) in secrets { #expect(try secret.isInMemory(), "the search finds \(name) while it is there") }
        let packets = try sealed(suite, spi, keys)
        let all = [Selectors.Entry(.all(.ipv4))]
        let child = ChildSASpec(
            tunnel: id, inbound: spi, outbound: 0xcafe, suite: suite, keys: keys, selectors: Selectors(local: all, remote: all))
        if end == .refused {
            do {
                try await rig.control.install(child)
                Issue.record("a session that is gone took a Child SA")
            } catch {}
            return secrets
        }
        try await rig.control.install(child)
        for packet in packets { rig.outer[0].put(Rig.outside(packet)) }
        let arrived = await OuterTests.take(rig.inner[1], packets.count, rig)
        #expect(arrived.count == packets.count)
        for number in UInt16(0)..<20 {
            rig.inner[0].put(MemoryWire.Packet(octets: Packets.ipv4(server, client, payload: Packets.udp(2, number, octets: 100))))
        }
        let left = await OuterTests.take(rig.outer[1], 20, rig)
        #expect(left.count == 20)
        // HMAC keeps what it made of its key, and not the key
        for (name, secret) in secrets.prefix(2) { #expect(try secret.isInMemory(), "the search finds \(name) while the SA lives") }
        if end == .retired {
            _ = await rig.control.retire(child: spi)
        } else {
            _ = await rig.control.close(tunnel: id)
        }
        // The threads still run: what is left on their stacks counts. The pair ends on the door's thread after its report is taken up.
        for (name, secret) in secrets {
            let isGone = await rig.wait { (try? secret.isInMemory()) == false }
            #expect(isGone, "\(name) is left")
        }
        return secrets
    }

    @Test("retired, closed with its session, or refused at its installation")
    func threat_P28_keysOfAChildSA() async {
        await #expect(processExitsWith: .success) {
            #expect(CryptoLibrary.wipeFreedMemory())
            for (suiteName, suite) in try Self.suites() {
                for end in End.allCases {
                    for (name, secret) in try await Self.live(suite, end) {
                        #expect(try !secret.isInMemory(), "\(name) of \(suiteName) is left after \(end)")
                    }
                }
            }
        }
    }
}
