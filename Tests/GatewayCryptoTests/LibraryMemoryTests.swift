import COpenSSL
import Foundation
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
                for number in [PseudorandomFunction.hmacMD5, .hmacSHA1, .aesXCBC, .hmacSHA512] {
                    let prf = try #require(PRF(number))
                    let key = try prf(key: shared, known)
                    LibraryMemory.watch(key.exposed())
                    LibraryMemory.watch(try prf.plus(key: key, seed: shared, count: 200).exposed())
                }
            }
            // Not ECP-256 and ECP-521, where the library's curve code frees recoded scalars as they are: the next test.
            for method in allMethods where method != .ecp256 && method != .ecp521 {
                try exchange(method)
                #expect(LibraryMemory.takeSightings() == 0, "key exchange method \(method.rawValue)")
            }

            func record(_ suite: ProtectionSuite, _ engine: CryptoEngine) throws {
                let entropy = SeededEntropy(seed: 22)
                let (left, right) = (entropy.octets(suite.encryptionKeyLength), entropy.octets(suite.integrityKeyLength))
                LibraryMemory.watch(left)
                LibraryMemory.watch(right)
                LibraryMemory.watch(right.map { $0 ^ 0x36 })
                LibraryMemory.watch(right.map { $0 ^ 0x5c })
                var sealer = try suite.cipher(.seal, seed: 22, engine: engine)
                var sealed = suite.record(blocks: 4, seed: 23)
                #expect(sealer.seal(&sealed) == true)
            }
            for engine in CryptoEngine.here {
                for suite in ProtectionSuite.all {
                    try record(suite, engine)
                    #expect(LibraryMemory.takeSightings() == 0, "suite \(suite.testDescription), \(engine)")
                }
            }
        }
    }

    @Test(
        "threats.md P28: once the library wipes what it frees, no memory of the process holds a private value or a shared secret",
        .disabled(if: ProcessMemory.hasSanitizer, "a sanitizer's allocator maps more than can be searched"))
    func threat_P28_memoryAfterExchanges() async {
        await #expect(processExitsWith: .success) {
            #expect(CryptoLibrary.wipeFreedMemory())
            // A block that the library frees as it is, such as the recoded scalars of its curve code.
            func freeUnwiped() throws -> [DisguisedOctets] {
                let secret = SystemEntropy().secret(100_000)
                let block = try #require(gw_allocate(secret.count))
                let behind = gw_allocate(100)  // so that the freed block stays a block
                defer { CRYPTO_free(behind, nil, 0) }
                secret.withUnsafeBytes { block.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
                CRYPTO_free(block, nil, 0)
                return [DisguisedOctets(secret, from: 50_000), DisguisedOctets(secret, from: 99_000)]
            }
            for secret in try freeUnwiped() { #expect(try !ProcessMemory.holds(secret)) }

            func exchange(_ method: KeyExchangeMethod) throws -> [DisguisedOctets] {
                let entropy = SystemEntropy()
                let ours = try KeyExchange(method, entropy: entropy)
                let theirs = try KeyExchange(method, entropy: entropy)
                let shared = try ours.sharedSecret(with: theirs.publicValue)
                let parts = DisguisedOctets.ends(of: ours.privateValue) + DisguisedOctets.ends(of: shared)
                for part in parts { #expect(try ProcessMemory.holds(part), "the search finds what is there") }
                return parts
            }
            for method in allMethods {
                for secret in try exchange(method) {
                    #expect(try !ProcessMemory.holds(secret), "key exchange method \(method.rawValue)")
                }
            }
        }
    }

    @Test(
        "threats.md P28: nothing of a private key is left in memory once it and its file are gone",
        .disabled(if: ProcessMemory.hasSanitizer, "a sanitizer's allocator maps more than can be searched"))
    func threat_P28_memoryAfterSigning() async {
        await #expect(processExitsWith: .success) {
            #expect(CryptoLibrary.wipeFreedMemory())
            // Where in PKCS #8 the private value stands: d and p of RSA, the octets of the others.
            let cases: [(TestKey.Kind, places: [Int])] = [
                (.rsa(bits: 2048, exponent: 65537), [400, 600]), (.ec("P-256"), [36]), (.ec("P-384"), [35]), (.ec("P-521"), [40]),
                (.other("ED25519"), [16]),
            ]
            func use(_ kind: TestKey.Kind, _ places: [Int], _ form: TestKey.Form) throws -> [DisguisedOctets] {
                let key = TestKey(kind)
                let plain = try key.needed(.der)
                let parts = places.map { DisguisedOctets(plain, from: $0) }
                let own = try PrivateKey(
                    try key.needed(form, passphrase: "a pass phrase"), passphrase: SecretOctets(copying: Array("a pass phrase".utf8)))
                for scheme in SignatureScheme.all where scheme.fits(own.publicKey.kind) {
                    #expect(own.publicKey.accepts(try own.sign([1, 2, 3], by: scheme), over: [1, 2, 3], by: scheme))
                }
                for part in parts { #expect(try ProcessMemory.holds(part), "the search finds what is there") }
                return parts
            }
            for (kind, places) in cases {
                for form in [TestKey.Form.pem, .der, .encryptedPEM, .encryptedDER] {
                    for part in try use(kind, places, form) {
                        #expect(try !ProcessMemory.holds(part), "\(kind), \(form)")
                    }
                }
            }
        }
    }

    @Test("Once the library is in use, it says that it is too late to wipe what it frees")
    func wipeFreedMemoryTooLate() async {
        await #expect(processExitsWith: .success) {
            #expect(Digest.sha256([]).count == 32)
            #expect(!CryptoLibrary.wipeFreedMemory())
        }
    }

    @Test("Sealing, opening and keyed MACs allocate nothing per call")
    func noAllocationPerRecord() async {
        await #expect(processExitsWith: .success) {
            LibraryMemory.install()
            for (engine, suite) in CryptoEngine.here.flatMap({ engine in ProtectionSuite.all.map { (engine, $0) } }) {
                var sealer = try suite.cipher(.seal, seed: 1, engine: engine)
                var opener = try suite.cipher(.open, seed: 1, engine: engine)
                var forged = suite.record(blocks: 90, seed: 2)
                var record = forged
                #expect(sealer.seal(&record) && opener.open(&record))
                let before = LibraryMemory.allocations
                for _ in 0..<100 {
                    #expect(sealer.seal(&record) && opener.open(&record))
                    forged.icv = [UInt8](repeating: 0, count: suite.icvLength)
                    #expect(opener.open(&forged) == false)
                }
                #expect(LibraryMemory.allocations == before, "suite \(suite.testDescription), \(engine)")
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

    /// Looks out for a secret: its first and its last 12 octets, also in the order of a number's limbs.
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

/// Octets to look for that are not themselves in memory.
struct DisguisedOctets {
    private static let mask: UInt8 = 0x5a
    private let disguised: [UInt8]

    static let count = 16

    /// A part of a secret.
    init(_ secret: borrowing SecretOctets, from start: Int) {
        disguised = secret.withUnsafeBytes { octets in (start..<start + Self.count).map { octets[$0] ^ Self.mask } }
    }

    /// The ends of a secret: an allocator that takes a block back writes over the beginning of it.
    static func ends(of secret: borrowing SecretOctets) -> [DisguisedOctets] {
        [DisguisedOctets(secret, from: 0), DisguisedOctets(secret, from: secret.count - count)]
    }

    /// Writes the octets as they are, and behind them in reverse: the order of a number's limbs.
    func unmask(into room: UnsafeMutablePointer<UInt8>) {
        for index in 0..<Self.count {
            room[index] = disguised[index] ^ Self.mask
            room[2 * Self.count - 1 - index] = room[index]
        }
    }
}

/// What this process has in writable memory, stacks included.
enum ProcessMemory {
    static var hasSanitizer: Bool { dlsym(nil, "__asan_init") != nil }

    static func holds(_ secret: DisguisedOctets) throws -> Bool {
        let memory = open("/proc/self/mem", O_RDONLY)
        try #require(memory >= 0)
        defer { close(memory) }
        // What is read and what is looked for lie in a mapping that is passed over, so that the search does not find itself.
        let (size, page) = (1 << 20, 4096)
        let window = try #require(mmap(nil, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        defer { munmap(window, size + page) }
        let own = UInt(bitPattern: window)..<UInt(bitPattern: window) + UInt(size + page)
        let forward = window + size
        let backward = forward + DisguisedOctets.count
        secret.unmask(into: forward.assumingMemoryBound(to: UInt8.self))

        let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ")
            let ends = fields[0].split(separator: "-").compactMap { UInt(String($0), radix: 16) }
            guard fields[1].hasPrefix("rw"), ends.count == 2 else { continue }
            for part in [ends[0]..<max(ends[0], min(ends[1], own.lowerBound)), min(ends[1], max(ends[0], own.upperBound))..<ends[1]] {
                var at = part.lowerBound
                while at < part.upperBound {
                    let count = pread(memory, window, min(size, Int(part.upperBound - at)), off_t(at))
                    guard count > 0 else { break }
                    if memmem(window, count, forward, DisguisedOctets.count) != nil { return true }
                    if memmem(window, count, backward, DisguisedOctets.count) != nil { return true }
                    // The windows overlap by a pattern's length.
                    at += UInt(count > page && at + UInt(count) < part.upperBound ? count - page : count)
                }
            }
        }
        return false
    }
}
