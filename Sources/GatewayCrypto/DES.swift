/// Single DES (FIPS 46-3) on one block, for EAP methods that are made of it: never for packets.
package enum DES {
    /// Encrypts 8 octets under 7 octets of key, to which the parity bits are added as RFC 2759 section 8.6 asks; throws `.badLength`, `.library`
    /// where the library came without it.
    package static func encrypt(_ block: [UInt8], key: [UInt8]) throws(CryptoError) -> [UInt8] {
        guard block.count == 8, key.count == 7 else { throw .badLength }
        let bits = key.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // Seven bits an octet, from the left; the lowest bit is parity, which the cipher passes over.
        let spread = (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64(49 - 7 * $0) & 0x7f) << 1 }
        var context = try CipherContext(.desCBC, key: SecretOctets(copying: spread), seals: true)
        var result = block
        let zero = [UInt8](repeating: 0, count: 8)
        let restarted = unsafe zero.withUnsafeBytes { unsafe context.restart($0) }
        let done = unsafe result.withUnsafeMutableBytes { unsafe context.transform($0) }
        guard restarted, done else { throw .library }
        return result
    }
}
