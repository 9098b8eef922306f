/// Error-Cause, RFC 5176 section 3.5: why a Disconnect- or CoA-Request was refused.
package struct ErrorCause: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    package static let unsupportedAttribute = ErrorCause(rawValue: 401)
    package static let missingAttribute = ErrorCause(rawValue: 402)
    package static let nasIdentificationMismatch = ErrorCause(rawValue: 403)
    package static let invalidRequest = ErrorCause(rawValue: 404)
    package static let unsupportedService = ErrorCause(rawValue: 405)
    package static let invalidAttributeValue = ErrorCause(rawValue: 407)
    package static let administrativelyProhibited = ErrorCause(rawValue: 501)
    package static let sessionContextNotFound = ErrorCause(rawValue: 503)
    package static let sessionContextNotRemovable = ErrorCause(rawValue: 504)
    package static let resourcesUnavailable = ErrorCause(rawValue: 506)
    package static let multipleSessionSelectionUnsupported = ErrorCause(rawValue: 508)
}

extension ErrorCause: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unsupportedAttribute: "401 Unsupported-Attribute"
        case .missingAttribute: "402 Missing-Attribute"
        case .nasIdentificationMismatch: "403 NAS-Identification-Mismatch"
        case .invalidRequest: "404 Invalid-Request"
        case .unsupportedService: "405 Unsupported-Service"
        case .invalidAttributeValue: "407 Invalid-Attribute-Value"
        case .administrativelyProhibited: "501 Administratively-Prohibited"
        case .sessionContextNotFound: "503 Session-Context-Not-Found"
        case .sessionContextNotRemovable: "504 Session-Context-Not-Removable"
        case .resourcesUnavailable: "506 Resources-Unavailable"
        case .multipleSessionSelectionUnsupported: "508 Multiple-Session-Selection-Unsupported"
        default: "\(rawValue)"
        }
    }
}
