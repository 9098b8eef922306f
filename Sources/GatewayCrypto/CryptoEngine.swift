import Synchronization

/// Who does the cryptography of ESP; IKE's few messages are OpenSSL's.
package enum CryptoEngine: String, CaseIterable, Sendable {
    /// intel-ipsec-mb, where the processor is made for it.
    case multiBuffer = "multi-buffer"
    /// OpenSSL's EVP, one keyed context for each SA.
    case openSSL = "openssl"

    // 0: as the machine allows
    private static let wish = Atomic<Int>(0)

    /// Whether this build and this processor have it.
    package var isAvailable: Bool {
        switch self {
        case .multiBuffer: MultiBuffer.isUsable
        case .openSSL: true
        }
    }

    /// The engine of SAs keyed from now on: the chosen one, else the best there is.
    package static var preferred: CryptoEngine {
        wish.load(ordering: .relaxed) == 0 && CryptoEngine.multiBuffer.isAvailable ? .multiBuffer : .openSSL
    }

    /// Says which engine SAs are keyed for from now on; false, with nothing changed, when this machine does not have it.
    package static func choose(_ engine: CryptoEngine) -> Bool {
        guard engine.isAvailable else { return false }
        wish.store(engine == .openSSL ? 1 : 0, ordering: .relaxed)
        return true
    }

    /// The library by its name and version, for the log.
    package var library: String {
        switch self {
        case .multiBuffer: MultiBuffer.description
        case .openSSL: LibCrypto.version
        }
    }
}
