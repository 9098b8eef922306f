import COpenSSL
import Glibc
import Testing
import Wire

@testable import GatewayCrypto

// The library's allocator can be replaced before its first use only, so each test here runs in a process of its own. There every block
// that the library (and so SecretOctets) frees passes through `LibraryMemory` while it is still ours to look at.

@Suite("What the library's memory holds")
struct LibraryMemoryTests {
    @Test("threats.md P28: no freed block holds a secret")
    func threat_P28_secretsAreWiped() async {
        await #expect(processExitsWith: .success) {
            LibraryMemory.install()
            let known = Array("a secret of our own, 32 octets..".utf8)
            LibraryMemory.watch(known)

            // The watch itself: a block freed as it is counts, a wiped one does not.
            let block = try #require(gw_allocate(known.count))
            known.withUnsafeBytes { block.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            CRYPTO_free(block, nil, 0)
            #expect(LibraryMemory.takeSightings() == 1)

            func use() throws {
                var secret = SecretOctets(copying: known)
                secret.append(known)
                secret.append(secret.copy())
                _ = try secret.slice(32..<64).count
                #expect(secret.count == 128)
            }
            try use()
            #expect(LibraryMemory.takeSightings() == 0)

            func exchange(_ method: KeyExchangeMethod) throws {
                let entropy = SeededEntropy(seed: 21)
                let value = SeededEntropy(seed: 21).octets(try #require(KeyExchange.rows[method]).privateValueLength)
                LibraryMemory.watch(Array(value.dropFirst(2)))  // the first octets carry the group's own bits
                let ours = try KeyExchange(method, entropy: entropy)
                let theirs = try KeyExchange(method, entropy: entropy)
                let shared = try ours.sharedSecret(with: theirs.publicValue)
                LibraryMemory.watch(shared.exposed())
                #expect(try theirs.sharedSecret(with: ours.publicValue).isEqual(to: shared) == true)
                _ = try? ours.sharedSecret(with: [UInt8](repeating: 0, count: ours.publicValue.count)).count
                for number in [PseudorandomFunction.hmacSHA1, .hmacSHA512] {
                    let prf = try #require(PRF(number))
                    let key = try prf(key: shared, known)
                    LibraryMemory.watch(key.exposed())
                    LibraryMemory.watch(try prf.plus(key: key, seed: shared, count: 200).exposed())
                }
            }
            for method in [KeyExchangeMethod.modp2048, .modp3072, .modp4096, .ecp256, .ecp384, .ecp521, .x25519] {
                try exchange(method)
                #expect(LibraryMemory.takeSightings() == 0, "key exchange method \(method.rawValue)")
            }

            func record(_ suite: ProtectionSuite) throws {
                let entropy = SeededEntropy(seed: 22)
                let (left, right) = (entropy.octets(suite.encryptionKeyLength), entropy.octets(suite.integrityKeyLength))
                LibraryMemory.watch(left)
                LibraryMemory.watch(right)
                LibraryMemory.watch(right.map { $0 ^ 0x36 })
                LibraryMemory.watch(right.map { $0 ^ 0x5c })
                var sealer = try suite.cipher(.seal, seed: 22)
                var sealed = suite.record(blocks: 4, seed: 23)
                #expect(sealer.seal(&sealed) == true)
            }
            for suite in ProtectionSuite.all {
                try record(suite)
                #expect(LibraryMemory.takeSightings() == 0, "suite \(suite.testDescription)")
            }
        }
    }

    @Test("Sealing, opening and keyed MACs allocate nothing per call")
    func noAllocationPerRecord() async {
        await #expect(processExitsWith: .success) {
            LibraryMemory.install()
            for suite in ProtectionSuite.all {
                var sealer = try suite.cipher(.seal, seed: 1)
                var opener = try suite.cipher(.open, seed: 1)
                var forged = suite.record(blocks: 90, seed: 2)
                var record = forged
                #expect(sealer.seal(&record) && opener.open(&record))
                let before = LibraryMemory.allocations
                for _ in 0..<100 {
                    #expect(sealer.seal(&record) && opener.open(&record))
                    forged.icv = [UInt8](repeating: 0, count: suite.icvLength)
                    #expect(opener.open(&forged) == false)
                }
                #expect(LibraryMemory.allocations == before, "suite \(suite.testDescription)")
            }
            var mac = try KeyedHMAC(sha256: SecretOctets(copying: [1, 2, 3]))
            var result = [UInt8](repeating: 0, count: 32)
            let before = LibraryMemory.allocations
            #expect(before > 0)
            for _ in 0..<100 {
                let data = result
                #expect(result.withUnsafeMutableBytes { into in data.withUnsafeBytes { mac.compute($0, into: into) } })
            }
            #expect(LibraryMemory.allocations == before)
        }
    }
}

/// An allocator for the library that counts blocks, and looks at each one that is freed. For one thread.
enum LibraryMemory {
    nonisolated(unsafe) private(set) static var allocations = 0
    nonisolated(unsafe) private static var watched: [[UInt8]] = []
    nonisolated(unsafe) private static var sightings = 0
    /// Before each block: its length, with room to keep the alignment.
    private static let header = 16

    /// Ends the process when the library was used already.
    static func install() {
        let installed = CRYPTO_set_mem_functions(
            { count, _, _ in LibraryMemory.allocate(count) },
            { block, count, _, _ in
                guard let larger = LibraryMemory.allocate(count) else { return nil }
                if let block {
                    larger.copyMemory(from: block, byteCount: min(count, LibraryMemory.length(of: block)))
                    LibraryMemory.free(block)
                }
                return larger
            },
            { block, _, _ in if let block { LibraryMemory.free(block) } })
        precondition(installed == 1, "the library was used before its allocator could be replaced")
    }

    /// Looks out for a secret: any 12 octets in a row of it would do, the first and the last are taken, also in the order of a number's limbs.
    static func watch(_ secret: [UInt8]) {
        guard secret.count >= 12 else { return }
        for part in [Array(secret.prefix(12)), Array(secret.suffix(12))] {
            watched.append(part)
            watched.append(part.reversed())
        }
    }

    /// How many freed blocks held something watched, since the last question.
    static func takeSightings() -> Int {
        defer { sightings = 0 }
        return sightings
    }

    private static func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
        guard count > 0, let whole = malloc(count + header) else { return nil }
        allocations += 1
        whole.storeBytes(of: count, as: Int.self)
        return whole + header
    }

    private static func length(of block: UnsafeMutableRawPointer) -> Int { (block - header).load(as: Int.self) }

    private static func free(_ block: UnsafeMutableRawPointer) {
        let count = length(of: block)
        if watched.contains(where: { part in part.withUnsafeBytes { memmem(block, count, $0.baseAddress!, $0.count) != nil } }) {
            sightings += 1
        }
        Glibc.free(block - header)
    }
}
