// The peer of messages.py: each line "rally|stream SENDERS MESSAGES CAPACITY" runs once and answers "done".
package main

import (
	"bufio"
	"fmt"
	"os"
)

func rally(messages int) {
	there, back := make(chan int64, 2), make(chan int64, 2)
	go func() {
		for ball := range there {
			back <- ball
		}
	}()
	for i := 0; i < messages/2; i++ {
		there <- int64(i)
		<-back
	}
	close(there)
}

func stream(senders, messages, capacity int) {
	channel := make(chan int64, capacity)
	for s := 0; s < senders; s++ {
		go func() {
			for i := 0; i < messages/senders; i++ {
				channel <- 1
			}
		}()
	}
	left := int64(messages)
	for left > 0 {
		left -= <-channel
	}
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var what string
		var senders, messages, capacity int
		fmt.Sscan(input.Text(), &what, &senders, &messages, &capacity)
		if what == "rally" {
			rally(messages)
		} else {
			stream(senders, messages, capacity)
		}
		fmt.Println("done")
	}
}
