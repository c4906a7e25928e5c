Return-Path: <>
Date: Mon,  1 Jun 2026 13:00:05 +0800 (CST)
From: MAILER-DAEMON@mail.example.com (Mail Delivery System)
Subject: Delayed Mail (still being retried)
To: bounces@example.com
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="AC3B51F4A1.1780290005/mail.example.com"

This is a MIME-encapsulated message.

--AC3B51F4A1.1780290005/mail.example.com
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

<User00002@Example.com>: connect to mx.example.com[192.0.2.25]:25: Connection timed
    out

--AC3B51F4A1.1780290005/mail.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com
X-Postfix-Queue-ID: AC3B51F4A1
Arrival-Date: Mon,  1 Jun 2026 09:00:03 +0800 (CST)

Final-Recipient: rfc822; User00002@Example.com
Action: delayed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to mx.example.com[192.0.2.25]:25:
    Connection timed out
Will-Retry-Until: Sat,  6 Jun 2026 09:00:03 +0800 (CST)

--AC3B51F4A1.1780290005/mail.example.com
Content-Description: Delayed Message Headers
Content-Type: text/rfc822-headers

Return-Path: <gulou@example.com>
From: gulou@example.com
To: user00002@example.com
Message-ID: <d04f98f48e8f2d7c-2b@example.com>

--AC3B51F4A1.1780290005/mail.example.com--
