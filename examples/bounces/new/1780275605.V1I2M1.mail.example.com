Return-Path: <>
X-Original-To: bounces@example.com
Delivered-To: bounces@example.com
Received: by mail.example.com (Postfix)
	id 4C7D21F4A3; Mon,  1 Jun 2026 09:00:05 +0800 (CST)
Date: Mon,  1 Jun 2026 09:00:05 +0800 (CST)
From: MAILER-DAEMON@mail.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: bounces@example.com
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="9A2B51F4A1.1780275605/mail.example.com"
Content-Transfer-Encoding: 8bit
Message-Id: <20260601010005.4C7D21F4A3@mail.example.com>

This is a MIME-encapsulated message.

--9A2B51F4A1.1780275605/mail.example.com
Content-Description: Notification
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

This is the mail system at host mail.example.com.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

                   The mail system

<user00001@example.com>: host mx.example.com[192.0.2.25] said: 550 5.1.1
    <user00001@example.com>: Recipient address rejected: User unknown in virtual
    mailbox table (in reply to RCPT TO command)

--9A2B51F4A1.1780275605/mail.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com
X-Postfix-Queue-ID: 9A2B51F4A1
X-Postfix-Sender: rfc822; gulou@example.com
Arrival-Date: Mon,  1 Jun 2026 09:00:03 +0800 (CST)

Final-Recipient: rfc822; user00001@example.com
Original-Recipient: rfc822;user00001@example.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.com
Diagnostic-Code: smtp; 550 5.1.1 <user00001@example.com>: Recipient address
    rejected: User unknown in virtual mailbox table

--9A2B51F4A1.1780275605/mail.example.com
Content-Description: Undelivered Message
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Return-Path: <gulou@example.com>
Received: from [127.0.0.1] (localhost [127.0.0.1])
	by mail.example.com (Postfix) with ESMTP id 9A2B51F4A1
	for <user00001@example.com>; Mon,  1 Jun 2026 09:00:03 +0800 (CST)
From: =?utf-8?B?6byT5qW8?= <gulou@example.com>
To: =?utf-8?B?6ZKx5a2Q5ra1?= <user00001@example.com>
Subject: =?utf-8?B?6ZKx5a2Q5ra177yM6byT5qW855qE5paw5aOw6Z+z?=
Date: Mon, 1 Jun 2026 01:00:03 +0000
Message-ID: <d04f98f48e8f2d7c-2a@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 8bit

亲爱的用户：六一快乐！

--9A2B51F4A1.1780275605/mail.example.com--
