import Foundation
import GatewayTesting
import Glibc
import IKE
import IKEMessages
import Testing
import Wire

@testable import GatewayCrypto
@testable import RoadWarrior

/// Octets to look for that are not themselves in memory.
private struct Disguised {
    static let mask: UInt8 = 0xa7
    static let count = 16
    private let octets: [UInt8]

    init(_ secret: borrowing SecretOctets) {
        octets = secret.withUnsafeBytes { all in all.suffix(Self.count).map { $0 ^ Self.mask } }
    }

    /// Whether writable memory of this process holds them, but for the room that they are laid out in to be looked for.
    func isInMemory() throws -> Bool {
        let memory = open("/proc/self/mem", O_RDONLY)
        try #require(memory >= 0)
        defer { close(memory) }
        let (size, page) = (1 << 20, 4096)
        let window = try #require(mmap(nil, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        defer { munmap(window, size + page) }
        let own = UInt(bitPattern: window)..<UInt(bitPattern: window) + UInt(size + page)
        let wanted = (window + size).assumingMemoryBound(to: UInt8.self)
        for index in octets.indices { wanted[index] = octets[index] ^ Self.mask }
        for line in try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n") {
            let fields = line.split(separator: " ")
            let ends = fields[0].split(separator: "-").compactMap { UInt(String($0), radix: 16) }
            guard fields[1].hasPrefix("rw"), ends.count == 2 else { continue }
            for part in [ends[0]..<max(ends[0], min(ends[1], own.lowerBound)), min(ends[1], max(ends[0], own.upperBound))..<ends[1]] {
                var at = part.lowerBound
                while at < part.upperBound {
                    let count = pread(memory, window, min(size, Int(part.upperBound - at)), off_t(at))
                    guard count > 0 else { break }
                    if memmem(window, count, wanted, Self.count) != nil { return true }
                    at += UInt(count > page && at + UInt(count) < part.upperBound ? count - page : count)
                }
            }
        }
        return false
    }
}

extension RoadWarrior {
    /// The keys of its IKE SA, which are the gateway's too. They are read where they lie: a copy would be found later.
    fileprivate var disguisedKeys: [(String, Disguised)] {
        switch ike.keys {
        case .some(let keys):
            [
                ("SK_d", Disguised(keys.derivation)), ("SK_ei", Disguised(keys.initiatorEncryption)), ("SK_er", Disguised(keys.responderEncryption)),
                ("SK_ai", Disguised(keys.initiatorIntegrity)), ("SK_ar", Disguised(keys.responderIntegrity)),
                ("SK_pi", Disguised(keys.initiatorIdentity)), ("SK_pr", Disguised(keys.responderIdentity)),
            ]
        case .none: []
        }
    }
}

@Suite("After the end of an IKE SA none of its keys is in memory; threats.md P28, I11")
struct TeardownMemoryTests {
    private enum End: CaseIterable { case delete, halfOpen }

    private static func live(_ end: End) throws -> [(String, Disguised)] {
        let pair = try Pair { $0.ikeProposals = (try? ProposalText.ike("aes256-sha256-x25519")) ?? [] }
        if end == .halfOpen { pair.wire.fate = { $0.is(.ikeAuth, response: true) ? .drop : .deliver } }
        if end == .halfOpen { pair.gateway.holds = [.address] }
        pair.connect()
        let secrets = pair.client.warrior.disguisedKeys
        #expect(secrets.count == 7)
        for (name, secret) in secrets { #expect(try secret.isInMemory(), "the search finds \(name) while it is there") }
        if end == .delete { pair.closeFromGateway() }
        pair.drain()
        #expect(pair.gateway.entries.isEmpty)
        return secrets
    }

    @Test("after a Delete, and after a login that was never finished")
    func threat_P28_keysOfAnIKESA() async {
        await #expect(processExitsWith: .success) {
            #expect(CryptoLibrary.wipeFreedMemory())
            for end in End.allCases {
                for (name, secret) in try Self.live(end) { #expect(try !secret.isInMemory(), "\(name) is left after \(end)") }
            }
        }
    }
}
