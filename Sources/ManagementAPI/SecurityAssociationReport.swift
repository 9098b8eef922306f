package import FoundationEssentials
package import Wire

/// `ipsec-gwctl sas`: one IKE SA with its Child SAs.
package struct SecurityAssociationReport: Codable, Equatable, Sendable {
    /// The id of the session that it carries; empty before authentication.
    package var session: String
    package var gateway: String
    package var local: String
    package var remote: String
    /// `0x` and 16 digits.
    package var initiatorSPI: String
    package var responderSPI: String
    /// `established`, or the stage that the login is in.
    package var state: String
    /// Names as the configuration has them, such as `aes256-gcm16`.
    package var encryption: String
    /// Empty with an AEAD.
    package var integrity: String
    package var pseudorandomFunction: String
    package var keyExchange: String
    package var established: Date?
    /// Seconds until the hard lifetime ends; nil is none.
    package var remainingSeconds: UInt64?
    package var children: [ChildReport]

    package init(
        session: String, gateway: String, local: Endpoint, remote: Endpoint, initiatorSPI: UInt64, responderSPI: UInt64,
        state: String, encryption: String, integrity: String, pseudorandomFunction: String, keyExchange: String,
        established: Date?, remainingSeconds: UInt64?, children: [ChildReport]
    ) {
        self.session = session
        self.gateway = gateway
        self.local = local.description
        self.remote = remote.description
        self.initiatorSPI = SPIText.of(initiatorSPI)
        self.responderSPI = SPIText.of(responderSPI)
        self.state = state
        self.encryption = encryption
        self.integrity = integrity
        self.pseudorandomFunction = pseudorandomFunction
        self.keyExchange = keyExchange
        self.established = established
        self.remainingSeconds = remainingSeconds
        self.children = children
    }
}

/// One Child SA, both directions. In = from the client.
package struct ChildReport: Codable, Equatable, Sendable {
    /// `0x` and 8 digits: ours, which the client sends to.
    package var inboundSPI: String
    package var outboundSPI: String
    package var encryption: String
    /// Empty with an AEAD.
    package var integrity: String
    package var extendedSequenceNumbers: Bool
    package var udpEncapsulation: Bool
    package var localSelectors: [String]
    package var remoteSelectors: [String]
    package var established: Date
    /// Seconds until the hard lifetime ends; nil is none.
    package var remainingSeconds: UInt64?
    /// The highest sequence number that was authenticated.
    package var sequenceIn: UInt64
    /// The last sequence number that was sent.
    package var sequenceOut: UInt64
    package var replay: Replay
    /// The worker that owns the SA.
    package var worker: Int
    package var octetsIn: UInt64
    package var octetsOut: UInt64
    package var packetsIn: UInt64
    package var packetsOut: UInt64

    /// The state of the anti-replay window.
    package struct Replay: Codable, Equatable, Sendable {
        /// Width in packets.
        package var window: Int
        /// `0x` and 16 digits: which of the 64 sequence numbers up to the highest came, the highest first.
        package var recent: String

        package init(window: Int, recent: UInt64) {
            self.window = window
            self.recent = SPIText.of(recent)
        }
    }

    package init(
        inboundSPI: UInt32, outboundSPI: UInt32, encryption: String, integrity: String, extendedSequenceNumbers: Bool,
        udpEncapsulation: Bool, localSelectors: [String], remoteSelectors: [String], established: Date,
        remainingSeconds: UInt64?, sequenceIn: UInt64, sequenceOut: UInt64, replay: Replay, worker: Int,
        octetsIn: UInt64, octetsOut: UInt64, packetsIn: UInt64, packetsOut: UInt64
    ) {
        self.inboundSPI = SPIText.of(inboundSPI)
        self.outboundSPI = SPIText.of(outboundSPI)
        self.encryption = encryption
        self.integrity = integrity
        self.extendedSequenceNumbers = extendedSequenceNumbers
        self.udpEncapsulation = udpEncapsulation
        self.localSelectors = localSelectors
        self.remoteSelectors = remoteSelectors
        self.established = established
        self.remainingSeconds = remainingSeconds
        self.sequenceIn = sequenceIn
        self.sequenceOut = sequenceOut
        self.replay = replay
        self.worker = worker
        self.octetsIn = octetsIn
        self.octetsOut = octetsOut
        self.packetsIn = packetsIn
        self.packetsOut = packetsOut
    }
}

/// How an SPI is written.
package enum SPIText {
    /// `0x` and all digits of the number's width.
    package static func of<Number: FixedWidthInteger & UnsignedInteger>(_ spi: Number) -> String {
        let digits = String(spi, radix: 16)
        return "0x" + String(repeating: "0", count: Number.bitWidth / 4 - digits.count) + digits
    }
}
