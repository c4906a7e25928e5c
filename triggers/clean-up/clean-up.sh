# Deletes mails that have lain in a Maildir for more than so many days.
#
#     sh clean-up.sh MAILDIR DAYS
#
# What a crash left in tmp goes after two days, as the Maildir convention has it.
set -eu

maildir=$1
days=$2

if [ ! -d "$maildir" ]; then
  echo "no $maildir yet: nothing to do"
  exit 0
fi

count=0
for folder in new cur tmp; do
  [ -d "$maildir/$folder" ] || continue
  age=$days
  if [ "$folder" = tmp ]; then age=2; fi
  deleted=$(find "$maildir/$folder" -type f -mtime +"$age" -exec rm -f {} \; -exec echo x \; | wc -l)
  count=$((count + deleted))
done
echo "deleted $count mails older than $days days"
