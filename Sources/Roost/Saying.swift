import Glibc

/// Tells the person at the terminal, at once: standard output is buffered when it is a file or a pipe.
func say(_ text: String) {
    print(text)
    fflush(nil)
}
