/// Who does the cryptography of ESP; IKE's few messages are OpenSSL's. Chosen at start: configuration `crypto-engine`.
package enum CryptoEngine: String, CaseIterable, Sendable {
    /// intel-ipsec-mb, where the processor is made for it.
    case multiBuffer = "ipsec-mb"
    /// OpenSSL's EVP, one keyed context for each SA.
    case openSSL = "openssl"

    /// Whether this build and this processor have it.
    package var isAvailable: Bool {
        switch self {
        case .multiBuffer: MultiBuffer.isUsable
        case .openSSL: true
        }
    }

    /// The best there is on this machine.
    package static var preferred: CryptoEngine { CryptoEngine.multiBuffer.isAvailable ? .multiBuffer : .openSSL }

    /// The library by its name and version, for the log; why not, where it is not to be had.
    package var library: String {
        switch self {
        case .multiBuffer: MultiBuffer.description
        case .openSSL: LibCrypto.version
        }
    }
}
