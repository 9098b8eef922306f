import Foundation
import Testing
import Wire

@testable import GatewayCrypto

@Suite("Crypto engines")
struct CryptoEngineTests {
    @Test("Multi-buffer is there where the processor has instructions for AES and the build has the library")
    func whatIsHere() throws {
        print("engines here: \(CryptoEngine.here.map { "\($0.rawValue): \($0.library)" })")
        #expect(CryptoEngine.openSSL.isAvailable)
        #if MULTI_BUFFER
        let flags =
            try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).split(separator: "\n")
            .first { $0.hasPrefix("flags") }?.split(separator: " ") ?? []
        #expect(CryptoEngine.multiBuffer.isAvailable == (flags.contains("aes") && flags.contains("pclmulqdq")))
        #else
        #expect(!CryptoEngine.multiBuffer.isAvailable)
        #endif
    }

    @Test("The best is preferred, and named as the configuration names it")
    func preference() {
        #expect(CryptoEngine.preferred == (CryptoEngine.multiBuffer.isAvailable ? .multiBuffer : .openSSL))
        #expect(CryptoEngine.allCases.map(\.rawValue) == ["ipsec-mb", "openssl"])
        #expect(CryptoEngine.openSSL.library.contains("OpenSSL"))
        #expect(!CryptoEngine.multiBuffer.isAvailable || CryptoEngine.multiBuffer.library.contains("intel-ipsec-mb"))
    }

    @Test(
        "Keys for an engine that is not here make no cipher and no batch",
        .enabled(if: !CryptoEngine.multiBuffer.isAvailable, "every engine is here: `make openssl-only` has one less"))
    func absentEngine() throws {
        for suite in ProtectionSuite.all {
            #expect(throws: CryptoError.unsupported) {
                let cipher = try suite.cipher(.seal, seed: 1, engine: .multiBuffer)
                _ = cipher.suite
            }
        }
        #expect(throws: CryptoError.unsupported) {
            let batch = try RecordBatch(capacity: 1, engine: .multiBuffer)
            _ = batch.capacity
        }
    }

    @Test(
        "Which suites the multi-buffer engine does itself, and which it does in batches",
        .enabled(if: CryptoEngine.multiBuffer.isAvailable, "needs intel-ipsec-mb"))
    func whoDoesWhat() throws {
        for suite in ProtectionSuite.all {
            let cipher = try suite.cipher(.seal, seed: 1, engine: .multiBuffer)
            let isHMAC = ![IntegrityAlgorithm.none, .aesXCBC_96].contains(suite.integrity)
            let isBatched =
                [.chaCha20Poly1305, .nullAESGMAC].contains(suite.encryption) || isHMAC && [.aesCBC, .null].contains(suite.encryption)
            #expect(cipher.lane.isNone != isBatched, "\(suite.testDescription)")
        }
    }

    @Test("A batch that can have no memory does its records one at a time")
    func batchWithoutEngine() throws {
        let batch = RecordBatch(atMost: 3, engine: .openSSL)
        #expect(batch.capacity == 3 && batch.allSucceeded)
    }

    @Test("Lanes are filled or left alone: what stands over rows of sixteen comes first", arguments: 0..<70)
    func lanes(count: Int) {
        for number in [1, 5] {
            var lanes = Lanes()
            for _ in 0..<count { lanes.add(Lane(number: number)) }
            lanes.add(.none)
            lanes.add(.single)
            let taken = (0..<count).map { _ in lanes.takes(Lane(number: number)) }
            let beyond = count % 16
            let alone = beyond < 6 ? beyond : 0
            #expect(taken == [Bool](repeating: false, count: alone) + [Bool](repeating: true, count: count - alone))
            let (takesNone, takesSingle) = (lanes.takes(.none), lanes.takes(.single))
            #expect(!takesNone && takesSingle)
        }
    }
}
