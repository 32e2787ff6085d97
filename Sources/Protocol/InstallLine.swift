/// The one line that a person runs on a new server.
public enum InstallLine {
    /// The token goes through the environment of the script, so that it is in no process list.
    ///
    /// - Parameters: a URL and a token, both without any character that means something to a shell.
    public static func text(hubURL: String, token: String) -> String {
        "curl -fsSL \(hubURL)/install.sh | ROOST_TOKEN=\(token) sh"
    }
}
