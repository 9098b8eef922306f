/// Why a cryptographic operation gave no result.
package enum CryptoError: Error, Equatable, Sendable {
    /// An algorithm this build has no row for.
    case unsupported
    /// A key, IV, text or value that does not have its algorithm's length.
    case badLength
    /// A peer's public value that is not a usable group element (RFC 6989, RFC 7748 section 6.1).
    case invalidPublicValue
    /// An integrity check value that does not fit.
    case authenticationFailed
    /// More output asked for than prf+ has: 255 blocks (RFC 7296 section 2.13).
    case exhausted
    /// The library refused for a reason of its own, such as memory.
    case library
}
