import Datapath
import ESP
import Foundation
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// Our native ESP against Scapy's, which knows nothing of ours: it makes packets and opens the answers.
///
///     Scapy 127.0.0.2 or ::2 --ESP, IP protocol 50--> 127.0.0.1 or ::1 [door, worker 0, worker 1] priv0 10.99.0.1/24 <-- echo 10.99.0.1:7777
///
/// all in one network namespace without a name.
@Suite(.serialized, .enabled(if: geteuid() == 0 || getenv("CI") != nil, "needs root: it makes a network namespace and a TUN device"))
struct ScapyTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let encryption: EncryptionAlgorithm
        let keyBits: Int
        let integrity: IntegrityAlgorithm
        let usesESN: Bool
        let family: AddressFamily
        /// Scapy's names.
        let cipher: String
        let hash: String
        var testDescription: String { "\(cipher)-\(keyBits) \(hash) \(usesESN ? "ESN" : "32 bit") IPv\(family.rawValue)" }
    }

    static let cases: [Case] = [true, false].flatMap { usesESN in
        AddressFamily.allCases.flatMap { family in
            [
                Case(
                    encryption: .aesGCM16, keyBits: 256, integrity: .none, usesESN: usesESN, family: family, cipher: "AES-GCM", hash: ""),
                Case(
                    encryption: .aesCBC, keyBits: 128, integrity: .hmacSHA256_128, usesESN: usesESN, family: family, cipher: "AES-CBC",
                    hash: "sha256"),
            ]
        }
    }

    @Test(arguments: cases)
    func nativeESPAgreesWithScapy(_ test: Case) async throws {
        let protection = try #require(ProtectionSuite(encryption: test.encryption, keyBits: test.keyBits, integrity: test.integrity))
        let suite = ESPSuite(protection: protection, extendedSequenceNumbers: test.usesESN)
        let isIPv6 = test.family == .ipv6
        let (gateway, here) = (Packets.address(isIPv6 ? "::1" : "127.0.0.1"), Packets.address(isIPv6 ? "::2" : "127.0.0.2"))
        let namespace = try DeviceTests.namespace()
        if isIPv6 {
            try namespace.within { () throws(SystemError) in
                var netlink = try Netlink()
                if let loopback = try netlink.link(named: "lo") { try netlink.addAddress(here, prefixLength: 128, to: loopback.index) }
            }
        }
        var settings = try DeviceTests.settings(workers: 2)
        settings.gateways = [GatewayListener(address: gateway)]
        settings.opensRawSockets = true
        let wanted = settings
        let made: Result<Datapath, DatapathError> = try namespace.within { () throws(SystemError) in
            do throws(DatapathError) { return .success(try Datapath(wanted, door: Visitors(), entropy: SystemEntropy())) } catch {
                return .failure(error)
            }
        }
        let datapath = try made.get()
        defer { datapath.stop() }
        try datapath.start()
        let spec = TunnelSpec(
            worker: 1, interface: "priv0", innerAddresses: [Packets.address("10.99.0.10")], settings: TunnelSettings(),
            peer: Endpoint(here, port: 0), local: Endpoint(gateway, port: 0))
        let id = try #require(datapath.open(tunnel: spec))
        let spi = try #require(datapath.allocateSPI(worker: 1))
        let all = [Selectors.Entry(.all(.ipv4))]
        try await datapath.install(
            ChildSASpec(
                tunnel: id, inbound: spi, outbound: 0x0bad_cafe, suite: suite,
                keys: ChildSAKeys(
                    inboundEncryption: Rig.key(suite, 0x11), inboundIntegrity: Rig.integrity(suite, 0x22),
                    outboundEncryption: Rig.key(suite, 0x33), outboundIntegrity: Rig.integrity(suite, 0x44)),
                selectors: Selectors(local: all, remote: all), replayWindow: 64))
        var echo = try namespace.within { () throws(SystemError) in try UDPPort(Endpoint(Packets.address("10.99.0.1"), port: 7777)) }

        func hex(_ value: UInt8, _ count: Int) -> String { String(repeating: String(value, radix: 16), count: count) }
        let order: [String: String] = [
            "gateway": "\(gateway)", "here": "\(here)", "in": "\(spi.rawValue)", "out": "\(0x0bad_cafe as UInt32)", "cipher": test.cipher,
            "hash": test.hash, "esn": test.usesESN ? "yes" : "", "key_in": hex(0x11, protection.encryptionKeyLength),
            "auth_in": hex(0x22, protection.integrityKeyLength), "key_out": hex(0x33, protection.encryptionKeyLength),
            "auth_out": hex(0x44, protection.integrityKeyLength),
        ]
        let peer = Process()
        peer.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        let description = String(decoding: try JSONEncoder().encode(order), as: UTF8.self)
        peer.arguments = ["-c", Self.script, description]
        let output = Pipe()
        peer.standardOutput = output
        peer.standardError = output
        // On a thread of the namespace, which the child inherits
        let started: Result<Void, any Error> = try namespace.within { () throws(SystemError) in Result { try peer.run() } }
        try started.get()
        var batch = Batch(capacity: 16, room: 65_535)
        let deadline = MonotonicClock.now + .seconds(150)
        while peer.isRunning, MonotonicClock.now < deadline {
            guard try echo.receive(into: &batch) > 0 else {
                try await Task.sleep(for: .milliseconds(1))
                continue
            }
            for index in 0..<batch.count { _ = echo.send([UInt8](batch.octets(index)), to: batch[index].peer) }
        }
        if peer.isRunning { peer.terminate() }
        peer.waitUntilExit()
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(
            peer.terminationStatus == 0 && said.contains("Scapy agrees"), "contrib/quickstart/install-packages test installs Scapy; it said: \(said)")
        let drops = datapath.dropCounters()
        // With ESN what lies before the window counts as far ahead, RFC 4303 appendix A2, and the ICV says that it is not
        #expect(drops[.replayed] == (test.usesESN ? 1 : 2) && drops[.integrity] == (test.usesESN ? 2 : 1))
        #expect(datapath.status(child: spi)?.highestInbound == (test.usesESN ? 0x1_0000_0006 : 0xffff_fff2))
    }

    /// HMAC is Python's own, since Scapy leaves the high half of the sequence number out of it.
    static let script = #"""
        import hashlib, hmac, json, socket, struct, sys
        from scapy.layers.inet import IP, UDP
        from scapy.layers.inet6 import IPv6
        from scapy.layers.ipsec import ESP, SecurityAssociation
        a = json.loads(sys.argv[1])
        v6 = ":" in a["here"]
        outer = IPv6 if v6 else IP
        def sa(spi, key, seq):
            return SecurityAssociation(ESP, spi=int(spi), crypt_algo=a["cipher"], crypt_key=bytes.fromhex(key),
                tunnel_header=outer(src=a["here"], dst=a["gateway"]), esn_en=bool(a["esn"]), esn=seq >> 32)
        def icv(octets, key, seq):
            high = struct.pack("!L", seq >> 32) if a["esn"] else b""
            return hmac.new(bytes.fromhex(key), octets + high, a["hash"]).digest()[:16]
        def seal(text, seq):
            inner = IP(src="10.99.0.10", dst="10.99.0.1") / UDP(sport=5000, dport=7777) / text
            octets = bytes(sa(a["in"], a["key_in"], seq).encrypt(inner, seq_num=seq & 0xffffffff)[ESP])
            return octets + icv(octets, a["auth_in"], seq) if a["hash"] else octets
        def unseal(octets, seq):
            assert struct.unpack("!LL", octets[:8]) == (int(a["out"]), seq), (octets[:8].hex(), seq)
            if a["hash"]:
                octets, tag = octets[:-16], octets[-16:]
                assert hmac.compare_digest(tag, icv(octets, a["auth_out"], seq)), "ICV"
            packet = outer(bytes(outer(src=a["gateway"], dst=a["here"], **({"nh": 50} if v6 else {"proto": 50})) / octets))
            return sa(a["out"], a["key_out"], seq).decrypt(packet)
        wire = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, 50)
        wire.bind((a["here"], 0))
        wire.settimeout(60)
        def send(octets): wire.sendto(octets, (a["gateway"], 0))
        answers = 0
        def answer():
            global answers
            octets = wire.recv(65535)
            answers += 1
            inner = unseal(octets if v6 else octets[20:], answers)
            assert (inner[IP].src, inner[IP].dst, inner[UDP].dport) == ("10.99.0.1", "10.99.0.10", 5000), inner.summary()
            return bytes(inner[UDP].payload)
        numbers = [1, 2, 3, 300, 299, 0x7fffffff, 0xfffffff0]
        if a["esn"]: numbers.append(0x100000005)
        for number in numbers:
            text = b"number %d" % number * 5
            sent = seal(text, number)
            send(sent)
            assert answer() == text, number
        last = numbers[-1] + 1
        forged = bytearray(seal(b"forged", last))
        forged[-1] ^= 1
        send(bytes(forged))
        send(sent)
        send(seal(b"too old", numbers[-1] - 64))
        # whichever of these three had come through would be answered first
        send(seal(b"the last", last))
        assert answer() == b"the last"
        if not a["esn"]:
            send(seal(b"one more", last + 1))
            assert answer() == b"one more"
        print("Scapy agrees")
        """#
}
