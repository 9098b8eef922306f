import IKE
import Wire

/// `ike-transform` and `ipsec-transform`.
extension Draft {
    func readIKETransforms(_ value: Value?) {
        ikeTransforms.read(ids: value, max: 4096) { id, value in
            value.section { readIKETransform(id, $0) } ?? nil
        }
    }

    private func readIKETransform(_ id: Int, _ section: Section) -> IKETransform? {
        let group = optional(section["dh-group"]) { $0.algorithm(AlgorithmNames.groups) }
        let encryption = optional(section["ike-encryption-algorithm"]) { $0.algorithm(AlgorithmNames.ikeEncryption) }
        let integrity = optional(section["ike-auth-algorithm"]) {
            $0.algorithm(AlgorithmNames.integrity, others: ["auth-encryption"])
        }
        let prf = optional(section["ike-prf-algorithm"]) {
            $0.algorithm(AlgorithmNames.pseudorandomFunctions, others: ["same-as-auth"])
        }
        let lifetime = section["isakmp-lifetime"].flatMap { value -> Duration? in
            let lifetime = value.seconds(1200...31_536_000)
            if let lifetime, lifetime < IKETransform.defaultLifetime {
                value.warn(found: value.found, allowed: "86400 seconds or more, lest both sides rekey at once")
            }
            return lifetime
        }
        guard case .read(let group) = group, case .read(let encryption) = encryption,
            case .read(let integrity) = integrity, case .read(let prf) = prf
        else { return nil }

        let cipher = encryption?.meaning ?? EncryptionChoice(.aesCBC, keyBits: 128)
        let method = group?.meaning ?? .modp2048
        support(encryption?.value, capabilities.ikeEncryption.contains(cipher))
        support(group?.value, capabilities.keyExchange.contains(method))
        var transform = IKETransform(
            id: id, encryption: [cipher], pseudorandomFunctions: [], keyExchange: [method],
            lifetime: lifetime ?? IKETransform.defaultLifetime)
        if cipher.isAEAD {
            guard agrees(integrity, isAEAD: true, key: "ike-auth-algorithm", words: ["auth-encryption"]) else { return nil }
            guard let prf, let function = prf.meaning else {
                let allowed = AlgorithmNames.pseudorandomFunctions.map(\.0).joined(separator: ", ") + " with an AEAD algorithm"
                if let value = prf?.value {
                    value.refuse(allowed: allowed)
                } else {
                    _ = section.required("ike-prf-algorithm", allowed)
                }
                return nil
            }
            support(prf.value, capabilities.pseudorandomFunctions.contains(function))
            transform.pseudorandomFunctions = [function]
            return transform
        }
        guard agrees(integrity, isAEAD: false, key: "ike-auth-algorithm", words: ["auth-encryption"]) else { return nil }
        let algorithm = integrity.flatMap(\.meaning) ?? .hmacSHA256_128
        support(integrity?.value, capabilities.ikeIntegrity.contains(algorithm))
        transform.integrity = [algorithm]
        let word = AlgorithmNames.integrity.first { $0.1 == algorithm }?.0
        let same = AlgorithmNames.pseudorandomFunctions.first { $0.0 == word }?.1
        guard let function = prf.flatMap(\.meaning) ?? same else { return nil }
        support(prf?.value ?? integrity?.value, capabilities.pseudorandomFunctions.contains(function))
        transform.pseudorandomFunctions = [function]
        return transform
    }

    func readIPsecTransforms(_ value: Value?) {
        ipsecTransforms.read(ids: value, max: 4096) { id, value in
            value.section { readIPsecTransform(id, $0) } ?? nil
        }
    }

    private func readIPsecTransform(_ id: Int, _ section: Section) -> IPsecTransform? {
        let encryption = optional(section["esp-encryption-algorithm"]) { $0.algorithm(AlgorithmNames.espEncryption) }
        let integrity = optional(section["esp-auth-algorithm"]) { value in
            // With AEAD `null` says the same as `auth-encryption`; without, `agrees` refuses it.
            value.isBareNull
                ? Chosen(word: "null", meaning: IntegrityAlgorithm?.none, value: value)
                : value.algorithm(AlgorithmNames.integrity, others: ["null", "auth-encryption"])
        }
        let group = optional(section["pfs-dh-group"]) { $0.algorithm(AlgorithmNames.groups, others: ["none"]) }
        let extended = section["extended-sequence-number"]?.boolean() ?? true
        let requiresPFS = section["pfs-required"]?.boolean() ?? false
        let lifetime = section["ipsec-lifetime"].flatMap(ipsecLifetime)
        guard case .read(let encryption) = encryption, case .read(let integrity) = integrity, case .read(let group) = group
        else { return nil }

        let cipher = encryption?.meaning ?? EncryptionChoice(.aesCBC, keyBits: 128)
        support(encryption?.value, capabilities.espEncryption.contains(cipher))
        var transform = IPsecTransform(
            id: id, encryption: [cipher], extendedSequenceNumbers: extended,
            keyExchange: DefaultProposals.keyExchange.filter(capabilities.keyExchange.contains), lifetime: lifetime)
        guard agrees(integrity, isAEAD: cipher.isAEAD, key: "esp-auth-algorithm", words: ["auth-encryption", "null"]) else {
            return nil
        }
        if !cipher.isAEAD {
            let algorithm = integrity.flatMap(\.meaning) ?? .hmacSHA256_128
            support(integrity?.value, capabilities.espIntegrity.contains(algorithm))
            transform.integrity = [algorithm]
        }
        if let method = group?.meaning {
            group?.value?.uses(.perfectForwardSecrecy)
            support(group?.value, capabilities.keyExchange.contains(method))
            transform.keyExchange = [method]
            transform.prefersPFS = true
            transform.requiresPFS = requiresPFS
        } else if requiresPFS {
            section["pfs-required"]?.refuse(allowed: "false where pfs-dh-group is none")
            return nil
        }
        return transform
    }

    func ipsecLifetime(_ value: Value) -> Duration? {
        let lifetime = value.seconds(1200...31_536_000)
        if let lifetime, lifetime < .seconds(3600) {
            value.warn(found: value.found, allowed: "3600 seconds or more, lest both sides rekey at once")
        }
        return lifetime
    }

    /// An AEAD algorithm has no integrity algorithm beside it, any other needs one (RFC 5282 section 8, RFC 8221 section 4).
    private func agrees(_ integrity: Chosen<IntegrityAlgorithm?>?, isAEAD: Bool, key: String, words: [String]) -> Bool {
        guard let integrity else { return true }
        if isAEAD, integrity.meaning != nil {
            integrity.value?.refuse(allowed: "auth-encryption with an AEAD algorithm")
            return false
        }
        if !isAEAD, words.contains(integrity.word) {
            integrity.value?.refuse(
                allowed: AlgorithmNames.integrity.map(\.0).joined(separator: ", ") + " with an algorithm that only encrypts")
            return false
        }
        return true
    }

    private func support(_ value: Value?, _ isSupported: Bool) {
        guard !isSupported else { return }
        value?.uses(.algorithm)
    }

    enum Reading<Result> {
        case read(Result?)
        case failed
    }

    /// Tells a key that is absent from one that cannot be read.
    func optional<Result>(_ value: Value?, _ read: (Value) -> Result?) -> Reading<Result> {
        guard let value else { return .read(nil) }
        return read(value).map { .read($0) } ?? .failed
    }
}
