extension String {
    /// The text as it stands in HTML, between tags as well as in a quoted attribute (HTML Standard section 13.3).
    public var escapedForHTML: String {
        var out = ""
        // Not by characters: a quotation mark with an accent is another character, and still ends an attribute.
        for scalar in unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
