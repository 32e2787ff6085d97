/// The icon of the pages: the bird on its perch.
let iconImage = #"""
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#93441a"/>
    <path d="M3 25.5h26" stroke="#f6f3ec" stroke-width="2" stroke-linecap="round"/>
    <path fill="#f6f3ec" d="M26.5 11.2 23 10c-.8-1.9-2.5-3-4.6-3-3 0-5 2.300-5.200 5L12.700 14 4.500 20.500l5.800-.7c1.500 1.600 3.600 2.500 5.700 2.500 4.600 0 7.800-3.500 7.800-8.100v-1.400z"/>
    <path d="M14.500 22v3.500M18 22v3.500" stroke="#f6f3ec" stroke-width="1.600"/><circle cx="19.300" cy="11" r="1.100" fill="#93441a"/></svg>
    """#
