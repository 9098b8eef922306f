/// A hash function: the rows that HMAC, PRF and Digest are built on.
enum HashFunction: Int, Sendable, CaseIterable {
    case md5, sha1, sha256, sha384, sha512

    /// The place in a table made from `allCases`.
    var index: Int { rawValue }

    /// Octets of a digest.
    var outputLength: Int {
        switch self {
        case .md5: 16
        case .sha1: 20
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    /// Octets that the compression function takes at once: HMAC pads its key to as many (RFC 2104).
    var blockLength: Int {
        switch self {
        case .md5, .sha1, .sha256: 64
        case .sha384, .sha512: 128
        }
    }

    /// The name that the library fetches it by.
    var libraryName: String {
        switch self {
        case .md5: "MD5"
        case .sha1: "SHA1"
        case .sha256: "SHA2-256"
        case .sha384: "SHA2-384"
        case .sha512: "SHA2-512"
        }
    }
}

/// Digests of whole octet strings (FIPS 180-4), such as those of NAT detection and certificate requests; MD5 (RFC 1321) and MD4 (RFC 1320) are for EAP
/// methods that are made of them.
package enum Digest {
    package static func md5(_ octets: [UInt8]) -> [UInt8] { compute(.md5, octets) }
    package static func sha1(_ octets: [UInt8]) -> [UInt8] { compute(.sha1, octets) }
    package static func sha256(_ octets: [UInt8]) -> [UInt8] { compute(.sha256, octets) }
    package static func sha384(_ octets: [UInt8]) -> [UInt8] { compute(.sha384, octets) }
    package static func sha512(_ octets: [UInt8]) -> [UInt8] { compute(.sha512, octets) }

    /// Throws `.unsupported` where the library came without it.
    package static func md4(_ octets: [UInt8]) throws(CryptoError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 16)
        let done = unsafe digest.withUnsafeMutableBytes { into in
            unsafe octets.withUnsafeBytes { unsafe LibCrypto.md4($0, into: into) }
        }
        guard done else { throw .unsupported }
        return digest
    }

    private static func compute(_ function: HashFunction, _ octets: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: function.outputLength)
        let done = unsafe digest.withUnsafeMutableBytes { into in
            unsafe octets.withUnsafeBytes { unsafe LibCrypto.digest(function, $0, into: into) }
        }
        // Only a library without the function gets here, whatever the octets: going on with a made-up digest would be worse.
        guard done else { fatalError("\(CryptoLibrary.version) has no \(function.libraryName)") }
        return digest
    }
}

/// What is linked in.
package enum CryptoLibrary {
    package static var version: String { LibCrypto.version }

    /// Has the library wipe what it frees, and so what its own code leaves there (threats.md P28, I11). The first thing a program does:
    /// false, and nothing changed, once the library was used.
    package static func wipeFreedMemory() -> Bool { LibCrypto.wipeFreedMemory() }
}
