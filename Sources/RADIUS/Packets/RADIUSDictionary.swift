/// What names and kinds the attributes have: FreeRADIUS's dictionaries, loaded once for the process and read-only after that.
package enum RADIUSDictionary {
    /// Where Debian's freeradius-common puts them.
    package static let systemDirectory = "/usr/share/freeradius"

    /// Loads the dictionary of a directory; a second call changes nothing. Throws `.dictionary`.
    package static func load(directory: String = systemDirectory) throws(RADIUSError) {
        try LibRADIUS.load(directory: directory)
    }

    /// The dictionary's name of an attribute, such as `Framed-IP-Address`.
    package static func name(of type: RADIUSAttributeType) -> String? { LibRADIUS.name(of: type) }

    /// The attribute of that name.
    package static func type(named name: String) -> RADIUSAttributeType? { LibRADIUS.type(named: name) }
}
