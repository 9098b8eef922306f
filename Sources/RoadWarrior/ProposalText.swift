package import IKEMessages
import Wire

/// Proposals written as strongSwan's users write them: `aes256-sha256-x25519`, `aes128gcm16-prfsha256-ecp256`, `aes256gcm16-esn`;
/// several proposals are parted by commas, several transforms of one type stand side by side.
package enum ProposalText {
    /// What is wrong with a proposal, in plain words.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    private enum Word {
        case cipher(Transform, aead: Bool)
        case hash(IntegrityAlgorithm, PseudorandomFunction)
        case prf(PseudorandomFunction)
        case group(KeyExchangeMethod)
        case sequence(UInt16)
    }

    private static let ciphers: [(String, EncryptionAlgorithm, aead: Bool)] = [
        ("gcm16", .aesGCM16, true), ("gcm128", .aesGCM16, true), ("gcm12", .aesGCM12, true), ("gcm96", .aesGCM12, true),
        ("gcm8", .aesGCM8, true), ("gcm64", .aesGCM8, true), ("gmac", .nullAESGMAC, true), ("", .aesCBC, false),
    ]
    private static let hashes: [String: (IntegrityAlgorithm, PseudorandomFunction)] = [
        "sha1": (.hmacSHA1_96, .hmacSHA1), "sha": (.hmacSHA1_96, .hmacSHA1),
        "sha256": (.hmacSHA256_128, .hmacSHA256), "sha2_256": (.hmacSHA256_128, .hmacSHA256),
        "sha384": (.hmacSHA384_192, .hmacSHA384), "sha2_384": (.hmacSHA384_192, .hmacSHA384),
        "sha512": (.hmacSHA512_256, .hmacSHA512), "sha2_512": (.hmacSHA512_256, .hmacSHA512),
        "md5": (.hmacMD5_96, .hmacMD5), "aesxcbc": (.aesXCBC_96, .aesXCBC),
    ]
    private static let groups: [String: KeyExchangeMethod] = [
        "modp768": .modp768, "modp1024": .modp1024, "modp1536": .modp1536, "modp2048": .modp2048, "modp3072": .modp3072,
        "modp4096": .modp4096, "modp6144": .modp6144, "modp8192": .modp8192, "ecp256": .ecp256, "ecp384": .ecp384,
        "ecp521": .ecp521, "x25519": .x25519, "curve25519": .x25519, "x448": .x448, "curve448": .x448,
    ]

    private static func word(_ text: String) -> Word? {
        if let hash = hashes[text] { return .hash(hash.0, hash.1) }
        if text.hasPrefix("prf"), let hash = hashes[String(text.dropFirst(3))] { return .prf(hash.1) }
        if let group = groups[text] { return .group(group) }
        switch text {
        case "esn": return .sequence(1)
        case "noesn": return .sequence(0)
        case "des": return .cipher(encryption(.des, nil), aead: false)
        case "3des": return .cipher(encryption(.tripleDES, nil), aead: false)
        case "null": return .cipher(encryption(.null, nil), aead: false)
        case "chacha20poly1305": return .cipher(encryption(.chaCha20Poly1305, nil), aead: true)
        default: break
        }
        guard text.hasPrefix("aes") else { return nil }
        let rest = text.dropFirst(3)
        let bits = ["128", "192", "256"].first { rest.hasPrefix($0) }
        let mode = rest.dropFirst(bits?.count ?? 0)
        guard let (_, number, aead) = ciphers.first(where: { $0.0 == mode }) else { return nil }
        return .cipher(encryption(number, bits.flatMap { UInt16($0) } ?? 128), aead: aead)
    }

    private static func encryption(_ number: EncryptionAlgorithm, _ bits: UInt16?) -> Transform {
        Transform(.encryption, id: number.rawValue, keyLength: bits)
    }

    private static func transform(_ type: TransformType, _ id: UInt16) -> Transform {
        Transform(type, id: id)
    }

    /// Proposals of an IKE SA; without a `prf` word the integrity algorithm's hash is the PRF.
    package static func ike(_ text: String) throws(Fault) -> [Proposal] {
        try proposals(text, .ike) { (ciphers, integrity, prfs, groups, _, aead, part) throws(Fault) in
            guard !groups.isEmpty else { throw Fault(description: "no key exchange method in \"\(part)\"") }
            guard !prfs.isEmpty else { throw Fault(description: "no prf in \"\(part)\"; add prfsha256, for example") }
            guard aead || !integrity.isEmpty else { throw Fault(description: "no integrity algorithm in \"\(part)\"") }
            return ciphers + prfs.map { transform(.pseudorandomFunction, $0.rawValue) }
                + (aead ? [] : integrity.map { transform(.integrity, $0.rawValue) })
                + groups.map { transform(.keyExchange, $0.rawValue) }
        }
    }

    /// Proposals of an ESP SA; without `esn` or `noesn` both are offered. Key exchange methods are for rekeys: the first Child SA has none of its own.
    package static func esp(_ text: String) throws(Fault) -> [Proposal] {
        try proposals(text, .esp) { (ciphers, integrity, _, groups, sequences, aead, part) throws(Fault) in
            guard aead || !integrity.isEmpty else { throw Fault(description: "no integrity algorithm in \"\(part)\"") }
            return ciphers + (aead ? [] : integrity.map { transform(.integrity, $0.rawValue) })
                + groups.map { transform(.keyExchange, $0.rawValue) }
                + (sequences.isEmpty ? [1, 0] : sequences).map { transform(.sequenceNumbers, $0) }
        }
    }

    private static func proposals(
        _ text: String, _ protocolID: SecurityProtocol,
        _ assemble: (
            [Transform], [IntegrityAlgorithm], [PseudorandomFunction], [KeyExchangeMethod], [UInt16], Bool, Substring
        ) throws(Fault) -> [Transform]
    ) throws(Fault) -> [Proposal] {
        var result: [Proposal] = []
        for part in text.lowercased().split(separator: ",") where result.count < 255 {
            var ciphers: [Transform] = []
            var aeads: Set<Bool> = []
            var integrity: [IntegrityAlgorithm] = []
            var prfs: [PseudorandomFunction] = []
            var implied: [PseudorandomFunction] = []
            var groups: [KeyExchangeMethod] = []
            var sequences: [UInt16] = []
            for token in part.split(separator: "-") {
                switch word(String(token)) {
                case .cipher(let transform, let aead)?:
                    ciphers.append(transform)
                    aeads.insert(aead)
                case .hash(let algorithm, let prf)?:
                    integrity.append(algorithm)
                    implied.append(prf)
                case .prf(let number)?: prfs.append(number)
                case .group(let method)?: groups.append(method)
                case .sequence(let number)?: sequences.append(number)
                case nil: throw Fault(description: "\"\(token)\" in \"\(part)\" is no algorithm known here")
                }
            }
            guard let aead = aeads.first else { throw Fault(description: "no cipher in \"\(part)\"") }
            guard aeads.count == 1 else {
                throw Fault(description: "\"\(part)\" mixes ciphers with and without integrity of their own")
            }
            let transforms = try assemble(
                ciphers, integrity, prfs.isEmpty ? implied : prfs, groups, sequences, aead, part)
            result.append(
                Proposal(number: UInt8(result.count + 1), protocolID: protocolID, spi: [], transforms: transforms))
        }
        guard !result.isEmpty else { throw Fault(description: "an empty proposal") }
        return result
    }

    /// What is offered where nothing is configured.
    package static let ikeDefault: [Proposal] = parsed {
        () throws(Fault) in
        try ike(
            "aes256gcm16-aes128gcm16-prfsha256-prfsha384-prfsha512-x25519-ecp256-ecp384-ecp521-modp2048-modp3072-modp4096,"
                + "aes256-aes128-sha256-sha384-sha512-x25519-ecp256-ecp384-ecp521-modp2048-modp3072-modp4096")
    }
    package static let espDefault: [Proposal] = parsed {
        () throws(Fault) in try esp("aes256gcm16-aes128gcm16,aes256-aes128-sha256-sha384-sha512")
    }

    /// Our own constants; the tests see that they are not empty.
    private static func parsed(_ body: () throws(Fault) -> [Proposal]) -> [Proposal] {
        (try? body()) ?? []
    }
}
