/// What AUTH covers of the IKE_SA_INIT exchange: RFC 7296 section 2.15, and with IKE_SA_INIT_FULL_TRANSCRIPT_AUTH
/// draft-ietf-ipsecme-ikev2-downgrade-prevention section 5. Written out here once more, as the derivations are.
extension Initiation {
    /// RealMessage1; of a full transcript ZeroPrefix | RealMessage2 | RealMessage1.
    var signed: [UInt8] { isFullTranscript ? zeroPrefix + response + request : request }

    /// RealMessage2; of a full transcript ZeroPrefix | RealMessage1 | RealMessage2.
    var signedByGateway: [UInt8] { isFullTranscript ? zeroPrefix + request + response : response }

    private var zeroPrefix: [UInt8] { [0, 0, 0, 0, 0, 0, 0, 0] }
}
