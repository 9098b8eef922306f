import COpenSSL
import Testing

/// Digests of OpenSSL's own, for packets that libfreeradius had no hand in.
enum TestMAC {
    static func md5(_ octets: [UInt8]) throws -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 16)
        try #require(EVP_Digest(octets, octets.count, &digest, nil, EVP_md5(), nil) == 1)
        return digest
    }

    /// RFC 2104; a key of at most 64 octets.
    static func hmacMD5(_ octets: [UInt8], key: [UInt8]) throws -> [UInt8] {
        let padded = key + [UInt8](repeating: 0, count: 64 - key.count)
        return try md5(padded.map { $0 ^ 0x5c } + md5(padded.map { $0 ^ 0x36 } + octets))
    }
}
