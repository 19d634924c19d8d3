package jmap

// Capabilities that this package knows by name.
const (
	CapCore       = "urn:ietf:params:jmap:core"
	CapMail       = "urn:ietf:params:jmap:mail"
	CapSubmission = "urn:ietf:params:jmap:submission"
	// CapPolicy is the platform's own: what the rulebook says of a message
	// before it is sent.
	CapPolicy = "urn:mohar:params:jmap:policy"
)

// CoreCapability is the value of CapCore in a Session (RFC 8620 section 2).
type CoreCapability struct {
	MaxSizeUpload         int64    `json:"maxSizeUpload"` // octets
	MaxConcurrentUpload   int      `json:"maxConcurrentUpload"`
	MaxSizeRequest        int64    `json:"maxSizeRequest"` // octets
	MaxConcurrentRequests int      `json:"maxConcurrentRequests"`
	MaxCallsInRequest     int      `json:"maxCallsInRequest"`
	MaxObjectsInGet       int      `json:"maxObjectsInGet"`
	MaxObjectsInSet       int      `json:"maxObjectsInSet"`
	CollationAlgorithms   []string `json:"collationAlgorithms"`
}

// Account is one account of a Session.
type Account struct {
	Name                string         `json:"name"`
	IsPersonal          bool           `json:"isPersonal"`
	IsReadOnly          bool           `json:"isReadOnly"`
	AccountCapabilities map[string]any `json:"accountCapabilities"`
}

// Session is the JMAP Session resource (RFC 8620 section 2).
type Session struct {
	Capabilities    map[string]any `json:"capabilities"`
	Accounts        map[ID]Account `json:"accounts"`
	PrimaryAccounts map[string]ID  `json:"primaryAccounts"`
	Username        string         `json:"username"`
	APIURL          string         `json:"apiUrl"`
	DownloadURL     string         `json:"downloadUrl"`
	UploadURL       string         `json:"uploadUrl"`
	EventSourceURL  string         `json:"eventSourceUrl"`
	State           string         `json:"state"`
}

// StateChange is what push sends (RFC 8620 section 7.1): for each account the
// states of the types that changed.
type StateChange struct {
	Type    string                   `json:"@type"` // always "StateChange"
	Changed map[ID]map[string]string `json:"changed"`
}
