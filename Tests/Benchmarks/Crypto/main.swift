// What the crypto engines cost a packet: nanoseconds of processor time, medians of seven runs.
// IPSEC_GW_EXTRAS=1 swift run -c release crypto-bench [packets in a batch | sessions]

import GatewayCrypto
import Glibc
import Wire

/// A packet in place as ESP has it: SPI and number, IV, text, ICV.
struct Packet {
    let base: UnsafeMutableRawPointer
    let suite: ProtectionSuite
    let count: Int

    init(_ suite: ProtectionSuite, _ count: Int) {
        self.suite = suite
        self.count = suite.blockLength > 1 ? (count + suite.blockLength - 1) / suite.blockLength * suite.blockLength : count
        base = .allocate(byteCount: 2048, alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 7, count: 2048)
    }

    var aad: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: 8) }
    var iv: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + 8, count: suite.ivLength) }
    var text: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base + 8 + suite.ivLength, count: count) }
    var icv: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base + 8 + suite.ivLength + count, count: suite.icvLength)
    }
}

final class SA {
    var sealer: RecordCipher
    var opener: RecordCipher

    init(_ suite: ProtectionSuite, _ engine: CryptoEngine, _ seed: UInt64) throws {
        let entropy = SeededEntropy(seed: seed)
        let key = entropy.secret(suite.encryptionKeyLength)
        let macKey = entropy.secret(suite.integrityKeyLength)
        sealer = try RecordCipher(suite, encryptionKey: key, integrityKey: macKey, direction: .seal, engine: engine)
        opener = try RecordCipher(suite, encryptionKey: key, integrityKey: macKey, direction: .open, engine: engine)
    }
}

func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Nanoseconds for each packet: the median of seven runs of `body`, which does so many.
func median(_ packets: Int, _ body: () -> Bool) -> Double {
    var runs: [Double] = []
    for _ in 0..<7 {
        var done = 0
        let start = seconds()
        var now = start
        repeat {
            for _ in 0..<16 { guard body() else { fatalError("a packet was refused") } }
            done += 16 * packets
            now = seconds()
        } while now - start < 0.03
        runs.append((now - start) / Double(done) * 1e9)
    }
    return runs.sorted()[3]
}

nonisolated(unsafe) let empty = UnsafeRawBufferPointer(start: nil, count: 0)
let lanes = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 32

/// Sealing and opening; 8 SAs in turn.
func measure(_ suite: ProtectionSuite, _ octets: Int, _ engine: CryptoEngine, inBatches: Bool) throws -> (seal: Double, open: Double) {
    let sas = try (0..<8).map { try SA(suite, engine, UInt64($0)) }
    let packets = (0..<lanes).map { _ in Packet(suite, octets) }
    var batch = try RecordBatch(capacity: lanes, engine: engine)
    func all(_ body: (SA, Packet) -> Bool) -> Bool {
        for index in 0..<lanes { guard body(sas[index & 7], packets[index]) else { return false } }
        return true
    }
    func together(_ body: (SA, Packet) -> Int?) -> Bool {
        guard all({ body($0, $1) != nil }) else { return false }
        batch.flush()
        defer { batch.removeAll() }
        return (0..<lanes).allSatisfy { batch.succeeded($0) }
    }
    let seal = {
        inBatches
            ? together { batch.seal(&$0.sealer, aad: $1.aad, iv: $1.iv, text: $1.text, macTrailer: empty, icv: $1.icv) }
            : all { $0.sealer.seal(aad: $1.aad, iv: $1.iv, text: $1.text, macTrailer: empty, icv: $1.icv) }
    }
    let sealing = median(lanes, seal)
    guard seal() else { fatalError("not sealed") }
    // Opening changes the text: what is opened again is a copy, for all engines alike
    let kept = packets.map { packet in
        let copy = UnsafeMutableRawPointer.allocate(byteCount: 2048, alignment: 64)
        copy.copyMemory(from: packet.base, byteCount: 2048)
        return copy
    }
    let opening = median(lanes) {
        for index in 0..<lanes { packets[index].base.copyMemory(from: kept[index], byteCount: octets + 64) }
        return inBatches
            ? together { batch.open(&$0.opener, aad: $1.aad, iv: $1.iv, text: $1.text, macTrailer: empty, icv: $1.icv) }
            : all { $0.opener.open(aad: $1.aad, iv: $1.iv, text: $1.text, macTrailer: empty, icv: UnsafeRawBufferPointer($1.icv)) }
    }
    for index in 0..<lanes {
        packets[index].base.deallocate()
        kept[index].deallocate()
    }
    return (sealing, opening)
}

let suites: [(String, EncryptionAlgorithm, Int, IntegrityAlgorithm)] = [
    ("aes128-gcm16", .aesGCM16, 128, .none), ("aes192-gcm16", .aesGCM16, 192, .none), ("aes256-gcm16", .aesGCM16, 256, .none),
    ("chacha20-poly1305", .chaCha20Poly1305, 0, .none), ("null-aes128-gmac", .nullAESGMAC, 128, .none),
    ("null-aes256-gmac", .nullAESGMAC, 256, .none), ("aes128-sha1", .aesCBC, 128, .hmacSHA1_96),
    ("aes128-sha256", .aesCBC, 128, .hmacSHA256_128), ("aes256-sha256", .aesCBC, 256, .hmacSHA256_128),
    ("aes256-sha384", .aesCBC, 256, .hmacSHA384_192), ("aes256-sha512", .aesCBC, 256, .hmacSHA512_256), ("null-sha256", .null, 0, .hmacSHA256_128),
]

func padded(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(width - text.count, 0)) + text }
func number(_ value: Double) -> String { padded(String(Int(value.rounded())), 7) }
func ratio(_ value: Double) -> String { padded(String(Int(value)) + "." + String(Int(value * 10) % 10), 7) }

/// Engine by engine, suite by suite.
func compareEngines() throws {
    print("\(CryptoEngine.openSSL.library); \(CryptoEngine.multiBuffer.library); \(lanes) packets in a batch, 8 SAs; ns a packet")
    print("suite                octets |    openssl seal, open |     ipsec-mb alone |     ipsec-mb batch | openssl / best")
    for (name, encryption, bits, integrity) in suites {
        guard let suite = ProtectionSuite(encryption: encryption, keyBits: bits, integrity: integrity) else { fatalError(name) }
        for octets in [64, 1400] {
            let slow = try measure(suite, octets, .openSSL, inBatches: false)
            let head = name + String(repeating: " ", count: 20 - name.count) + padded(String(octets), 7)
            var line = head + " | " + number(slow.seal) + number(slow.open)
            if CryptoEngine.multiBuffer.isAvailable {
                let alone = try measure(suite, octets, .multiBuffer, inBatches: false)
                let batched = try measure(suite, octets, .multiBuffer, inBatches: true)
                line += " | " + number(alone.seal) + number(alone.open) + " | " + number(batched.seal) + number(batched.open) + " | "
                line += ratio(slow.seal / min(alone.seal, batched.seal)) + ratio(slow.open / min(alone.open, batched.open))
            }
            print(line)
        }
    }
}

/// What a worker does with a packet of 1,400 octets in super-packets, but for system calls.
func compareWorkers() throws {
    print("\na worker without its ports; ns a packet of 1,400 octets | to the client, from it | against aes128-gcm16")
    for engine in CryptoEngine.allCases where engine.isAvailable {
        var base: (Double, Double)?
        for (name, encryption, bits, integrity) in suites {
            guard let suite = ProtectionSuite(encryption: encryption, keyBits: bits, integrity: integrity) else { fatalError(name) }
            var pair = try WorkerPair(suite, engine)
            let (out, back) = pair.measure()
            if base == nil { base = (out, back) }
            guard let base else { continue }
            let head = engine.rawValue + " " + name
            print(head + String(repeating: " ", count: 32 - head.count) + number(out) + number(back) + ratio(out / base.0) + ratio(back / base.1))
        }
    }
}

/// The same with packets of many sessions, one of each in turn, none beside another of its own.
func compareSessions() throws {
    print("\na worker without its ports, packets of as many sessions in turn; ns a packet of 1,400 octets | to the client, from it")
    for sessions in [1, 1_000, 10_000] {
        var pair = try SessionPair(sessions)
        let (out, back) = pair.measure()
        print(padded(String(sessions), 8) + number(out) + number(back))
    }
}

if !CommandLine.arguments.contains("sessions") {
    try compareEngines()
    try compareWorkers()
}
try compareSessions()
