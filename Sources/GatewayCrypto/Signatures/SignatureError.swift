/// Why a key was not taken.
package enum KeyError: Error, Hashable, Sendable {
    /// Not the DER or PEM of a key.
    case malformed
    /// Neither RSA, nor ECDSA over P-256, P-384 or P-521, nor Ed25519.
    case unsupportedAlgorithm
    /// An RSA modulus of other than 2048 to 8192 bits (threats.md C3).
    case rsaModulus(bits: Int)
    /// An RSA public exponent that is even, below 65537 or above 2^64 (threats.md C3, C7).
    case rsaExponent
    /// The file is encrypted and no passphrase was given.
    case passphraseNeeded
    /// The file is encrypted with another passphrase.
    case wrongPassphrase
    /// A private key that does not make signatures which its own public key accepts.
    case inconsistent
    /// The library refused for a reason of its own, such as memory.
    case library
}

/// Why a signature was not made or not accepted.
package enum SignatureError: Error, Hashable, Sendable {
    /// Authentication data of method 14 that ends too early.
    case malformed
    /// An AlgorithmIdentifier outside the table (threats.md C7).
    case unknownAlgorithm
    /// The scheme is for keys of another kind.
    case wrongKey
    /// It does not verify: other octets, another key, another length, another encoding.
    case invalid
    /// The library refused for a reason of its own, such as memory.
    case library
}
