package import GatewayCrypto
package import IKEMessages
package import Wire

/// The algorithms of an IKE SA, as one received proposal and one of ours both have them.
package struct IKEProposal: Hashable, Sendable {
    /// The number of the proposal that was taken: the response repeats it.
    package let number: UInt8
    package let suite: ProtectionSuite
    package let prf: PseudorandomFunction
    package let keyExchange: KeyExchangeMethod
    /// Hard lifetime of the transform that matched.
    package let lifetime: Duration

    /// The proposal of our response: one transform of each type (RFC 7296 section 3.3.1).
    var response: Proposal {
        Proposal(
            number: number, protocolID: .ike, spi: [],
            transforms: ProposalSelection.transforms(of: suite) + [
                Transform(.pseudorandomFunction, id: prf.rawValue), Transform(.keyExchange, id: keyExchange.rawValue),
            ])
    }
}

/// The algorithms of a Child SA.
package struct ESPProposal: Hashable, Sendable {
    package let number: UInt8
    /// The client's inbound SPI: where we send.
    package let spi: UInt32
    package let suite: ProtectionSuite
    package let extendedSequenceNumbers: Bool
    /// Hard lifetime of the transform that matched, if it has its own.
    package let lifetime: Duration?
    /// The group of the exchange's own key exchange; nil: none (always so in IKE_AUTH).
    package var keyExchange: KeyExchangeMethod?

    func response(spi: UInt32, keyExchange: KeyExchangeMethod? = nil) -> Proposal {
        var octets: [UInt8] = []
        octets.append(bigEndian: spi)
        return Proposal(
            number: number, protocolID: .esp, spi: octets,
            transforms: ProposalSelection.transforms(of: suite)
                + (keyExchange.map { [Transform(.keyExchange, id: $0.rawValue)] } ?? []) + [
                    Transform(.sequenceNumbers, id: extendedSequenceNumbers ? 1 : 0)
                ])
    }
}

/// Choice among received proposals by our own preference (threats.md P10), RFC 7296 section 2.7.
package enum ProposalSelection {
    /// The IKE proposal to take, or nil. `offeredKey` is the group of the request's KE payload: among equals it saves a round trip.
    /// `spiLength`: 8 when an IKE SA is replaced, 0 in IKE_SA_INIT.
    package static func ike(
        from proposals: [Proposal], accepting transforms: [IKETransform], offeredKey: KeyExchangeMethod, spiLength: Int = 0
    ) -> IKEProposal? {
        for ours in transforms {
            for choice in ours.encryption {
                for theirs in proposals where theirs.protocolID == .ike && theirs.spi.count == spiLength {
                    if let match = ike(theirs, ours, choice, offeredKey) { return match }
                }
            }
        }
        return nil
    }

    private static func ike(
        _ theirs: Proposal, _ ours: IKETransform, _ choice: EncryptionChoice, _ offeredKey: KeyExchangeMethod
    ) -> IKEProposal? {
        guard !theirs.hasUnknownType(beside: [.encryption, .pseudorandomFunction, .integrity, .keyExchange]),
            let suite = suite(theirs, choice, ours.integrity), suite.encrypts,
            let prf = ours.pseudorandomFunctions.first(where: { theirs.offers(.pseudorandomFunction, $0.rawValue) && PRF($0) != nil })
        else { return nil }
        let groups = ours.keyExchange.filter { theirs.offers(.keyExchange, $0.rawValue) && KeyExchange.supports($0) }
        guard let group = groups.contains(offeredKey) ? offeredKey : groups.first else { return nil }
        return IKEProposal(number: theirs.number, suite: suite, prf: prf, keyExchange: group, lifetime: ours.lifetime)
    }

    /// Whether an exchange for a Child SA can have its own key exchange.
    package enum ChildKeyExchange: Hashable, Sendable {
        /// IKE_AUTH: a KE transform there is passed over (RFC 7296 section 1.2).
        case none
        /// CREATE_CHILD_SA: as policy and proposal agree; the group of the KE payload, if there is one, saves a round trip.
        case allowed(KeyExchangeMethod?)
    }

    /// The ESP proposal to take, or nil.
    package static func esp(
        from proposals: [Proposal], accepting transforms: [IPsecTransform], keyExchange: ChildKeyExchange = .none
    ) -> ESPProposal? {
        for ours in transforms {
            for choice in ours.encryption {
                for theirs in proposals where theirs.protocolID == .esp {
                    if let match = esp(theirs, ours, choice, keyExchange) { return match }
                }
            }
        }
        return nil
    }

    private static func esp(
        _ theirs: Proposal, _ ours: IPsecTransform, _ choice: EncryptionChoice, _ keyExchange: ChildKeyExchange
    ) -> ESPProposal? {
        var spiOctets = unsafe theirs.spi.span.bytes
        guard theirs.spi.count == 4, let spi = try? spiOctets.next(UInt32.self), spi > 255,
            !theirs.hasUnknownType(beside: [.encryption, .integrity, .keyExchange, .sequenceNumbers]),
            let suite = suite(theirs, choice, ours.integrity)
        else { return nil }
        // No ESN transform at all means 32-bit numbers to old peers, although RFC 7296 wants one.
        let offers64 = theirs.offers(.sequenceNumbers, 1)
        let offers32 = theirs.offers(.sequenceNumbers, 0) || !theirs.transforms.contains { $0.type == .sequenceNumbers }
        let extended: Bool
        if offers64, ours.extendedSequenceNumbers {
            extended = true
        } else if offers32 {
            extended = false
        } else {
            return nil
        }
        guard let group = group(theirs, ours, keyExchange) else { return nil }
        return ESPProposal(
            number: theirs.number, spi: spi, suite: suite, extendedSequenceNumbers: extended, lifetime: ours.lifetime,
            keyExchange: group == .none ? nil : group)
    }

    /// NONE, or the group to use; nil when the proposal will not do: it insists on groups that we do not take, or has none and we insist.
    private static func group(_ theirs: Proposal, _ ours: IPsecTransform, _ keyExchange: ChildKeyExchange) -> KeyExchangeMethod? {
        guard case .allowed(let offeredKey) = keyExchange else { return KeyExchangeMethod.none }
        let common = ours.keyExchange.filter { theirs.offers(.keyExchange, $0.rawValue) && KeyExchange.supports($0) }
        let canDoWithout =
            theirs.offers(.keyExchange, KeyExchangeMethod.none.rawValue) || !theirs.transforms.contains { $0.type == .keyExchange }
        if let offeredKey, common.contains(offeredKey) { return offeredKey }
        if canDoWithout, !ours.requiresPFS { return KeyExchangeMethod.none }
        return common.first
    }

    /// Encryption with or without integrity, RFC 7296 section 3.3.3: an AEAD stands alone or beside NONE.
    private static func suite(_ theirs: Proposal, _ choice: EncryptionChoice, _ integrity: [IntegrityAlgorithm]) -> ProtectionSuite? {
        let keyLength = choice.keyBits == 0 ? nil : UInt16(exactly: choice.keyBits)
        guard theirs.offers(.encryption, choice.algorithm.rawValue, keyLength: keyLength) else { return nil }
        if choice.isAEAD {
            guard !theirs.transforms.contains(where: { $0.type == .integrity }) || theirs.offers(.integrity, IntegrityAlgorithm.none.rawValue)
            else { return nil }
            return ProtectionSuite(encryption: choice.algorithm, keyBits: choice.keyBits, integrity: .none)
        }
        for algorithm in integrity where theirs.offers(.integrity, algorithm.rawValue) {
            if let suite = ProtectionSuite(encryption: choice.algorithm, keyBits: choice.keyBits, integrity: algorithm) { return suite }
        }
        return nil
    }

    static func transforms(of suite: ProtectionSuite) -> [Transform] {
        let keyLength = suite.keyBits == 0 ? nil : UInt16(exactly: suite.keyBits)
        var result = [Transform(.encryption, id: suite.encryption.rawValue, keyLength: keyLength)]
        if !suite.isAEAD { result.append(Transform(.integrity, id: suite.integrity.rawValue)) }
        return result
    }
}

extension Proposal {
    fileprivate func offers(_ type: TransformType, _ id: UInt16, keyLength: UInt16? = nil) -> Bool {
        transforms.contains { $0.type == type && $0.id == id && $0.keyLength == keyLength && !$0.unknownAttributes }
    }

    /// A transform type we do not know makes the whole proposal unacceptable (RFC 7296 section 3.3.6), unless it offers NONE, id 0.
    fileprivate func hasUnknownType(beside known: Set<TransformType>) -> Bool {
        Set(transforms.map(\.type)).subtracting(known).contains { !offers($0, 0) }
    }
}
