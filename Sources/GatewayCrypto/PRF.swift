package import Wire

/// A pseudorandom function and prf+, RFC 7296 sections 2.13 and 2.14.
package struct PRF: Sendable, Equatable {
    package let number: PseudorandomFunction
    private let function: MACFunction

    private static let rows: [PseudorandomFunction: MACFunction] = [
        .hmacMD5: .hmac(.md5),
        .hmacSHA1: .hmac(.sha1),
        .aesXCBC: .aesXCBC,
        .hmacSHA256: .hmac(.sha256),
        .hmacSHA384: .hmac(.sha384),
        .hmacSHA512: .hmac(.sha512),
    ]

    /// Nil when this build has no such function.
    package init?(_ number: PseudorandomFunction) {
        guard let row = Self.rows[number] else { return nil }
        self.number = number
        function = row
    }

    /// Octets of SK_d, SK_pi and SK_pr: the preferred key length.
    package var keyLength: Int { function.keyLength }
    /// Octets of a result.
    package var outputLength: Int { function.outputLength }

    /// The key that SKEYSEED comes from: Ni | Nr, or the first 64 bits of each where the function has keys of one length only (RFC 7296
    /// section 2.14).
    package func nonceKey(initiator: [UInt8], responder: [UInt8]) -> SecretOctets {
        function == .aesXCBC
            ? SecretOctets(copying: Array(initiator.prefix(8) + responder.prefix(8))) : SecretOctets(copying: initiator + responder)
    }

    /// prf(key, data); throws `.library`.
    package func callAsFunction(key: borrowing SecretOctets, _ data: [UInt8]) throws(CryptoError) -> SecretOctets {
        try unsafe data.span.bytes.withUnsafeBytes { data throws(CryptoError) in try unsafe once(key: key, data) }
    }

    /// prf(key, data) over secret data, such as g^ir; throws `.library`.
    package func callAsFunction(
        key: borrowing SecretOctets, _ data: borrowing SecretOctets
    ) throws(CryptoError) -> SecretOctets {
        try unsafe data.withUnsafeBytes { data throws(CryptoError) in try unsafe once(key: key, data) }
    }

    /// prf+(key, seed), `count` octets of it; throws `.exhausted` beyond 255 blocks, `.library`.
    package func plus(key: borrowing SecretOctets, seed: [UInt8], count: Int) throws(CryptoError) -> SecretOctets {
        try unsafe seed.span.bytes.withUnsafeBytes { seed throws(CryptoError) in try unsafe expand(key: key, seed, count) }
    }

    /// prf+(key, seed) with a secret in the seed, such as g^ir (new); throws `.exhausted` beyond 255 blocks, `.library`.
    package func plus(
        key: borrowing SecretOctets, seed: borrowing SecretOctets, count: Int
    ) throws(CryptoError) -> SecretOctets {
        try unsafe seed.withUnsafeBytes { seed throws(CryptoError) in try unsafe expand(key: key, seed, count) }
    }

    private func once(key: borrowing SecretOctets, _ data: UnsafeRawBufferPointer) throws(CryptoError) -> SecretOctets {
        var mac = try MAC(function, key: key)
        var result = SecretOctets(count: outputLength)
        let done = unsafe mac.begin() && mac.absorb(data) && mac.finish()
        guard done, unsafe result.withUnsafeMutableBytes({ unsafe mac.copyResult(into: $0) }) else { throw .library }
        return result
    }

    /// T1 = prf (K, S | 0x01), Tn = prf (K, Tn-1 | S | n).
    private func expand(
        key: borrowing SecretOctets, _ seed: UnsafeRawBufferPointer, _ count: Int
    ) throws(CryptoError) -> SecretOctets {
        guard count >= 0, count <= 255 * outputLength else { throw .exhausted }
        var mac = try MAC(function, key: key)
        var result = SecretOctets(count: count)
        let size = outputLength
        let done = unsafe result.withUnsafeMutableBytes { octets in
            var filled = 0
            var number: UInt8 = 0
            while filled < count {
                number += 1  // at most 255, by the guard above
                let previous = filled == 0 ? 0..<0 : filled - size..<filled
                let next = filled..<min(filled + size, count)
                let stepped = unsafe withUnsafeBytes(of: number) { last in
                    unsafe mac.begin() && mac.absorb(UnsafeRawBufferPointer(rebasing: octets[previous]))
                        && mac.absorb(seed) && mac.absorb(last) && mac.finish()
                        && mac.copyResult(into: UnsafeMutableRawBufferPointer(rebasing: octets[next]))
                }
                guard stepped else { return false }
                filled = next.upperBound
            }
            return true
        }
        guard done else { throw .library }
        return result
    }
}
