module github.com/mohar-mail/mohar

go 1.26.8
