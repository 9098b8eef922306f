package import Wire

/// Authentication payload, RFC 7296 section 3.8.
///
///     +---------------+-----------------------------------------------+
///     | Auth Method   |                RESERVED                       |
///     |                      Authentication Data                      |
///     +---------------------------------------------------------------+
package struct AuthenticationPayload: Hashable, Sendable {
    package var method: AuthenticationMethod
    package var data: [UInt8]

    package init(method: AuthenticationMethod, data: [UInt8]) {
        self.method = method
        self.data = data
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        method = AuthenticationMethod(rawValue: try body.next())
        try body.skip(3)
        data = body.rest()
        guard !data.isEmpty else { throw .truncated }
    }

    package func encode(into message: inout [UInt8]) {
        message += [method.rawValue, 0, 0, 0]
        message += data
    }
}
