import GatewayCrypto
import IKEMessages
import Wire

/// Proposals of our own, in requests that replace an SA: what the SA has first, then whatever else the policy allows. Where the policy is another
/// since the SA was made, its order alone counts.
struct Offers<Ours: Sendable>: Sendable {
    /// Without SPIs.
    let proposals: [Proposal]
    /// The group of the KE payload; nil: none.
    let group: KeyExchangeMethod?
    /// What they were made from: an answer is measured by that, whatever a reload brings meanwhile.
    let transforms: [Ours]

    func payload(spi: [UInt8]) -> Payload {
        .securityAssociation(
            SecurityAssociationPayload(
                proposals: proposals.map { Proposal(number: $0.number, protocolID: $0.protocolID, spi: spi, transforms: $0.transforms) }))
    }

    /// What INVALID_KE_PAYLOAD asks for: the proposals that have this group, with a key of it. nil when none of ours has (threats.md P9).
    func with(group: KeyExchangeMethod) -> Offers? {
        guard group != .none, group != self.group, KeyExchange.supports(group) else { return nil }
        var remaining = proposals.filter { $0.transforms.contains { $0.type == .keyExchange && $0.id == group.rawValue } }
        guard !remaining.isEmpty else { return nil }
        // Numbered from 1 on without a gap (RFC 7296 section 3.3.1).
        for index in remaining.indices { remaining[index].number = UInt8(clamping: index + 1) }
        return Offers(proposals: remaining, group: group, transforms: transforms)
    }

    /// Whether an answer takes one of these proposals, with one transform of each type (RFC 7296 section 2.7).
    func hold(_ answer: Proposal) -> Bool {
        guard let offer = proposals.first(where: { $0.number == answer.number && $0.protocolID == answer.protocolID }) else { return false }
        for type in Set(offer.transforms.map(\.type)).union(answer.transforms.map(\.type)) {
            let offered = offer.transforms.filter { $0.type == type }
            let taken = answer.transforms.filter { $0.type == type }
            if taken.isEmpty, type == .keyExchange, offered.contains(where: { $0.id == KeyExchangeMethod.none.rawValue }) { continue }
            guard taken.count == 1, taken.allSatisfy(offered.contains) else { return false }
        }
        return true
    }

    private static func encryption(_ choices: [EncryptionChoice]) -> [Transform] {
        choices.map { Transform(.encryption, id: $0.algorithm.rawValue, keyLength: $0.keyBits == 0 ? nil : UInt16(exactly: $0.keyBits)) }
    }
}

extension Offers<IPsecTransform> {
    /// For a Child SA in the place of one with `current`. `isShy`: a client that takes KE for an error, so that there is one only where the policy
    /// requires it (features.md ).
    static func esp(current: ESPProposal, allowing transforms: [IPsecTransform], isShy: Bool, isOutdated: Bool = false) -> Offers {
        var proposals: [Proposal] = []
        var group: KeyExchangeMethod?
        func add(_ algorithms: [Transform], numbers: [Transform], _ ours: IPsecTransform) {
            let groups = groupsOffered(ours, isShy: isShy)
            // One KE payload for all: a proposal that does without need not have its group.
            if group == nil { group = groups.first { $0 != .none } }
            guard let number = UInt8(exactly: proposals.count + 1) else { return }
            proposals.append(
                Proposal(
                    number: number, protocolID: .esp, spi: [],
                    transforms: algorithms + groups.map { Transform(.keyExchange, id: $0.rawValue) } + numbers))
        }
        if !isOutdated, let same = transforms.first(where: { $0.allows(current) }) {
            add(
                ProposalSelection.transforms(of: current.suite),
                numbers: [Transform(.sequenceNumbers, id: current.extendedSequenceNumbers ? 1 : 0)], same)
        }
        for ours in transforms {
            let numbers = ours.extendedSequenceNumbers ? [1, 0] : [UInt16(0)]
            add(
                encryption(ours.encryption) + ours.integrity.map { Transform(.integrity, id: $0.rawValue) },
                numbers: numbers.map { Transform(.sequenceNumbers, id: $0) }, ours)
        }
        return Offers(proposals: proposals, group: group, transforms: transforms)
    }

    private static func groupsOffered(_ ours: IPsecTransform, isShy: Bool) -> [KeyExchangeMethod] {
        guard ours.requiresPFS || (ours.prefersPFS && !isShy) else { return [] }
        return ours.keyExchange.filter(KeyExchange.supports) + (ours.requiresPFS ? [] : [.none])
    }
}

extension Offers<IKETransform> {
    /// For an IKE SA in the place of one with `current`.
    static func ike(current: IKEProposal, allowing transforms: [IKETransform], isOutdated: Bool = false) -> Offers {
        var proposals: [Proposal] = []
        if !isOutdated, transforms.contains(where: { $0.allows(current) }) {
            proposals.append(Proposal(number: 1, protocolID: .ike, spi: [], transforms: current.response.transforms))
        }
        for ours in transforms {
            guard let number = UInt8(exactly: proposals.count + 1) else { break }
            // The group in use first: what the client knows how to do.
            let groups = ours.keyExchange.filter { KeyExchange.supports($0) }
            proposals.append(
                Proposal(
                    number: number, protocolID: .ike, spi: [],
                    transforms: encryption(ours.encryption) + ours.integrity.map { Transform(.integrity, id: $0.rawValue) }
                        + ours.pseudorandomFunctions.filter { PRF($0) != nil }.map { Transform(.pseudorandomFunction, id: $0.rawValue) }
                        + (groups.filter { $0 == current.keyExchange } + groups.filter { $0 != current.keyExchange }).map {
                            Transform(.keyExchange, id: $0.rawValue)
                        }))
        }
        // A key of a group that the first proposal has, and of that in use if it has that.
        let groups = proposals.first.map { $0.transforms.filter { $0.type == .keyExchange }.map { KeyExchangeMethod(rawValue: $0.id) } } ?? []
        return Offers(
            proposals: proposals, group: groups.contains(current.keyExchange) ? current.keyExchange : groups.first, transforms: transforms)
    }
}

extension IPsecTransform {
    fileprivate func allows(_ current: ESPProposal) -> Bool {
        encryption.allow(current.suite) && (current.suite.isAEAD || integrity.contains(current.suite.integrity))
            && (extendedSequenceNumbers || !current.extendedSequenceNumbers)
    }
}

extension IKETransform {
    fileprivate func allows(_ current: IKEProposal) -> Bool {
        encryption.allow(current.suite) && (current.suite.isAEAD || integrity.contains(current.suite.integrity))
            && pseudorandomFunctions.contains(current.prf) && keyExchange.contains(current.keyExchange)
    }
}

extension [EncryptionChoice] {
    fileprivate func allow(_ suite: ProtectionSuite) -> Bool {
        contains { $0.algorithm == suite.encryption && $0.keyBits == suite.keyBits }
    }
}
