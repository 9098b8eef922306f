import GatewayCrypto
package import IKEMessages
package import Wire

// Start reading here. One IKE SA is one state machine without I/O: an `Input` goes in, `Output`s come out, and `takeKeys` hands over what an
// `Output` must not carry. A login runs through these stages, each a file in Stages/:
//
//   Initiation ──> AwaitingKeys ──> AwaitingAuth ──ask(peer)──> AwaitingPeer ──ask(address)──> AwaitingAddress
//   (IKE_SA_INIT)  (IKE_AUTH yet    (keys are            (the AUTH value is                     │ ask(childSPI)
//                   to come)         there)               verified here)                        v
//   (a certificate of ours: AwaitingSignature ──ask(signature)── stands after AwaitingPeer)
//   (EAP: AwaitingEAP ──ask(eap)──, as often as it takes, then AwaitingFinalAuth, where AUTH is verified, stand before AwaitingAddress)
//                                            Established <── installed ── AwaitingInstall <── install
//                                                 │  Delete, dead peer, lifetime, operator
//                                                 v
//                                             Deleting ──> closed           Lingering: repeats a last response, then closed
//
// RADIUS is an answer to ask(eap) and to ask(address); rekeys are further exchanges of `Established`.

/// The IKE SA of one client, from its IKE_SA_INIT through every rekey; RFC 7296. A pure state machine.
package struct IKESA: ~Copyable, Sendable {
    /// What IKE_SA_INIT settled; a rekey of the IKE SA changes it.
    private let initial: (initiatorSPI: IKESPI, responderSPI: IKESPI, proposal: IKEProposal)
    private var stage: Stage

    enum Stage: ~Copyable, Sendable {
        case awaitingKeys(AwaitingKeys)
        case awaitingAuth(AwaitingAuth)
        case awaitingPeer(AwaitingPeer)
        case awaitingSignature(AwaitingSignature)
        case awaitingEAP(AwaitingEAP)
        case awaitingFinalAuth(AwaitingFinalAuth)
        case awaitingAddress(AwaitingAddress)
        case awaitingInstall(AwaitingInstall)
        case established(Established)
        case deleting(Deleting)
        case lingering(Lingering)
        case closed
    }

    init(initiatorSPI: IKESPI, responderSPI: IKESPI, first: consuming AwaitingKeys) {
        initial = (initiatorSPI, responderSPI, first.proposal)
        stage = .awaitingKeys(first)
    }

    /// Feeds one input and appends what the driver must now do to `outputs`.
    package mutating func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) {
        stage = exchange(&stage, with: .closed).advance(on: input, at: now, into: &outputs)
    }

    /// The initiator's SPI of now; ours where we asked for the IKE SA in the place of another.
    package var initiatorSPI: IKESPI {
        switch stage {
        case .established(let stage): stage.channel.initiatorSPI
        default: initial.initiatorSPI
        }
    }

    /// The responder's SPI of now.
    package var responderSPI: IKESPI {
        switch stage {
        case .established(let stage): stage.channel.responderSPI
        default: initial.responderSPI
        }
    }

    /// The algorithms of now.
    package var proposal: IKEProposal {
        switch stage {
        case .established(let stage): stage.proposal
        default: initial.proposal
        }
    }

    /// When `.deadline` is to be fed next.
    package var nextDeadline: Instant? {
        switch stage {
        case .awaitingKeys(let stage): stage.deadline
        case .awaitingAuth(let stage): stage.login.channel.nextDeadline
        case .awaitingPeer(let stage): stage.login.channel.nextDeadline
        case .awaitingSignature(let stage): stage.login.channel.nextDeadline
        case .awaitingEAP(let stage): stage.login.channel.nextDeadline
        case .awaitingFinalAuth(let stage): stage.login.channel.nextDeadline
        case .awaitingAddress(let stage): stage.login.channel.nextDeadline
        case .awaitingInstall(let stage): stage.login.channel.nextDeadline
        case .established(let stage): stage.nextDeadline
        case .deleting(let stage): stage.nextDeadline
        case .lingering(let stage): stage.nextDeadline
        case .closed: nil
        }
    }

    /// The keys of the Child SA that `.install` named; each can be taken while its installation is awaited.
    package func takeKeys(inboundSPI: UInt32) -> ChildKeys? {
        switch stage {
        case .awaitingInstall(let stage) where stage.child.inboundSPI == inboundSPI: stage.childKeys()
        case .established(let stage): stage.childKeys(inboundSPI: inboundSPI)
        default: nil
        }
    }

    /// The IKE_SA_INIT response, for a repeated request; nil once IKE_AUTH was taken (threats.md P8).
    package var initResponse: [UInt8]? {
        switch stage {
        case .awaitingKeys(let stage): stage.signed.response
        case .awaitingAuth(let stage): stage.login.signed.response
        default: nil
        }
    }

    /// The stage's name, for tables and logs.
    package var stageName: String {
        switch stage {
        case .awaitingKeys: "half-open"
        case .awaitingAuth: "half-open"
        case .awaitingPeer: "awaiting-credentials"
        case .awaitingSignature: "awaiting-credentials"
        case .awaitingEAP: "eap"
        case .awaitingFinalAuth: "eap"
        case .awaitingAddress: "awaiting-address"
        case .awaitingInstall: "installing"
        case .established: "established"
        case .deleting: "deleting"
        case .lingering: "lingering"
        case .closed: "closed"
        }
    }

    package var isClosed: Bool {
        switch stage {
        case .closed: true
        default: false
        }
    }

    package var isEstablished: Bool {
        switch stage {
        case .established: true
        default: false
        }
    }

    /// Message IDs as `ipsec-gwctl sas` shows them: the next expected and the next of our own.
    package var messageIDs: (expected: UInt32, next: UInt32)? {
        switch stage {
        case .established(let stage): (stage.channel.requests.expected, stage.channel.nextRequestID)
        case .deleting(let stage): (stage.channel.requests.expected, stage.channel.nextRequestID)
        default: nil
        }
    }
}

extension IKESA.Stage {
    consuming func advance(on input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch consume self {
        case .awaitingKeys(let stage): return stage.handle(input, at: now, into: &outputs)
        case .awaitingAuth(var stage):
            stage.login.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .awaitingPeer(var stage):
            stage.login.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .awaitingSignature(var stage):
            stage.login.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .awaitingEAP(var stage):
            stage.login.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .awaitingFinalAuth(var stage):
            stage.login.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .awaitingAddress(var stage):
            stage.login.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .awaitingInstall(var stage):
            stage.login.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .established(var stage):
            stage.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .deleting(var stage):
            stage.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .lingering(var stage):
            stage.channel.keepUp(on: input, at: now, into: &outputs)
            return stage.handle(input, at: now, into: &outputs)
        case .closed: return .closed
        }
    }
}
